"""Which frames are worth a look of the encoder, on plain frames whose thumbnails are known."""

from collections.abc import Sequence

import numpy as np

from gifqa.retrieval.config import ClipCutConfig
from gifqa.retrieval.grouping import find_groups

RGB = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255), "white": (255,) * 3, "black": (0,) * 3}
Colour = str | tuple[int, int, int]
EVERY_FRAME = ClipCutConfig(group_size=1, min_frames=1)


def groups_of(colours: Sequence[Colour], config: ClipCutConfig):
    """The groups of plain frames of 12x10 pixels."""
    rgb = [RGB[colour] if isinstance(colour, str) else colour for colour in colours]
    pixels = np.zeros((len(rgb), 10, 12, 3), np.uint8)
    pixels[:] = np.array(rgb, np.uint8)[:, None, None]
    return find_groups(pixels, config)


def representatives(colours: Sequence[Colour], config: ClipCutConfig) -> list[int]:
    return groups_of(colours, config).representatives.tolist()


def test_three_frames_share_their_middle_one():
    """A ramp of 24 shades, each 10 from the next: no cut, no duplicates."""
    shades = [(10 * i, 10 * i, 10 * i) for i in range(24)]
    assert representatives(shades, ClipCutConfig()) == list(range(1, 24, 3))
    assert representatives(shades, ClipCutConfig(group_size=4, min_frames=1)) == [
        2,
        6,
        10,
        14,
        18,
        22,
    ]
    assert representatives(shades, EVERY_FRAME) == list(range(24))


def test_short_gifs_are_grouped_less():
    """Six frames are all there is to see; grouped by three, two of them would be left."""
    shades = [(20 * i, 20 * i, 20 * i) for i in range(6)]
    assert representatives(shades, ClipCutConfig()) == [0, 1, 2, 3, 4, 5]
    assert representatives(shades, ClipCutConfig(min_frames=3)) == [1, 3, 5]
    assert representatives(shades, ClipCutConfig(min_frames=1)) == [1, 4]


def test_no_group_crosses_a_cut():
    """Sixteen photos of one frame, then held ones: each is a group, though three would share one."""
    colours = ["red", "green", "blue", "white"] * 4 + ["black"] * 8
    assert representatives(colours, ClipCutConfig()) == [*range(16), 17]


def test_what_looks_like_the_frame_before_is_merged():
    shades = [(100, 100, 100), (104, 104, 104), (108, 108, 108), (112, 112, 112)]
    # 108 is 8 from the kept 100, which is not more than 8; 112 is.
    assert representatives(shades, EVERY_FRAME) == [0, 3]
    assert representatives(shades, EVERY_FRAME.model_copy(update={"duplicate_threshold": 0.0})) == [
        0,
        1,
        2,
        3,
    ]


def test_in_a_calm_gif_small_changes_are_kept():
    """With the threshold at 8 one frame of twelve would be left, though the picture slowly brightens."""
    shades = [(100 + i // 2, 100, 100) for i in range(12)]
    assert len(representatives(shades, EVERY_FRAME)) == 1
    kept = representatives([(100 + 3 * i, 100, 100) for i in range(12)], ClipCutConfig())
    assert len(kept) >= 4
    assert representatives(shades[:1] * 12, ClipCutConfig()) == [0]


def test_slow_change_is_not_merged_away():
    """Each frame is within the threshold of the next; compared with the last one kept, the ends differ."""
    shades = [(4 * i, 4 * i, 4 * i) for i in range(60)]
    kept = representatives(shades, EVERY_FRAME)
    assert kept == list(range(0, 60, 3))


def test_frames_of_one_brightness_and_different_colours_are_not_duplicates():
    assert representatives([(120, 100, 100), (100, 100, 120)], EVERY_FRAME) == [0, 1]


def test_shots_are_counted_by_their_cuts():
    groups = groups_of(["red"] * 6 + ["green"] * 2 + ["blue"] * 9, ClipCutConfig(min_frames=1))
    assert groups.representatives.tolist() == [1, 7, 9]
    assert groups.shots.tolist() == [0, 1, 2]


def test_thinned_groups_keep_the_first_the_last_and_their_shots():
    thinned = groups_of(["red", "blue"] * 10, EVERY_FRAME).thinned(5)
    assert len(thinned) == 5
    assert thinned.representatives.tolist() == thinned.shots.tolist() == [0, 5, 10, 14, 19]
