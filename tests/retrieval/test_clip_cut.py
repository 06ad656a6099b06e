from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from gifqa.errors import CheckpointError, ConfigError
from gifqa.frames import Frames
from gifqa.retrieval.clip_cut import EncodedFrames, encode_frames, select_keyframes
from gifqa.retrieval.config import ClipCutConfig
from gifqa.retrieval.embedder import FrameFeatures

RGB = {
    "red": (255, 0, 0),
    "green": (0, 255, 0),
    "blue": (0, 0, 255),
    "white": (255, 255, 255),
    "black": (0, 0, 0),
}
EVERY_FRAME = ClipCutConfig(group_size=1, min_frames=1, unlike_distance=0)


def make_frames(colours: Sequence[str | tuple[int, int, int]], **fields: Any) -> Frames:
    """Plain frames of 12x10 pixels, 0.1 s each."""
    rgb = [RGB[colour] if isinstance(colour, str) else colour for colour in colours]
    pixels = np.zeros((len(rgb), 10, 12, 3), np.uint8)
    pixels[:] = np.array(rgb, np.uint8)[:, None, None]
    count = len(rgb)
    defaults = {
        "pixels": pixels,
        "pts_seconds": np.arange(count) * 0.1,
        "duration_seconds": count * 0.1,
        "frame_indices": np.arange(count),
        "num_frames": count,
        "warnings": (),
    }
    return Frames(**(defaults | fields))


def test_the_frame_that_the_question_names_is_found(colour_embedder):
    encoded = encode_frames(make_frames(["red", "green", "blue"]), colour_embedder, ClipCutConfig())
    for position, colour in enumerate(["red", "green", "blue"]):
        keyframes = select_keyframes(
            encoded, f"Where is the {colour} one?", colour_embedder, ClipCutConfig(), top_k=1
        )
        assert keyframes.indices.tolist() == [position]
        assert keyframes.scores[0] == pytest.approx(1, abs=1e-3)
        assert keyframes.pts_seconds[0] == pytest.approx(position * 0.1)


def test_keyframes_are_in_time_order_and_not_in_order_of_score(colour_embedder):
    encoded = encode_frames(make_frames(["blue", "red", "green", "white"]), colour_embedder, EVERY_FRAME)
    keyframes = select_keyframes(encoded, "green", colour_embedder, EVERY_FRAME, top_k=3)
    assert (np.diff(keyframes.indices) > 0).all()
    assert (np.diff(keyframes.pts_seconds) > 0).all()
    assert int(np.argmax(keyframes.scores)) > 0
    assert keyframes.num_frames == 4
    assert keyframes.duration_seconds == pytest.approx(0.4)


def test_scores_and_grid_belong_to_their_frames(colour_embedder):
    frames = make_frames(["blue", "red", "green", "white", "black", "blue"])
    encoded = encode_frames(frames, colour_embedder, EVERY_FRAME)
    keyframes = select_keyframes(encoded, "red or green", colour_embedder, EVERY_FRAME, top_k=4)
    query = colour_embedder.encode_texts(["red or green"])[0]
    for i, index in enumerate(keyframes.indices):
        features = colour_embedder.encode_frames(frames.pixels[[index]])
        assert keyframes.scores[i] == pytest.approx(float(features.embeddings[0] @ query), abs=1e-5)
        assert np.array_equal(keyframes.grid[i], features.grid[0])


def test_an_encoder_without_grid_gives_keyframes_without(colour_embedder):
    colour_embedder.with_grid = False
    encoded = encode_frames(make_frames(["red", "blue"]), colour_embedder, ClipCutConfig())
    assert encoded.grid is None
    assert select_keyframes(encoded, "red", colour_embedder, ClipCutConfig()).grid is None


class AngleEncoder:
    """A frame is the direction that its red value says, 255 a right angle."""

    name = "angles"

    def __init__(self) -> None:
        self.calls: list[list[int]] = []

    def encode_frames(self, pixels: np.ndarray) -> FrameFeatures:
        reds = pixels[:, 0, 0, 0]
        self.calls.append(reds.tolist())
        angles = reds.astype(np.float32) / 255 * np.pi / 2
        grid = reds[:, None, None].astype(np.float16)
        return FrameFeatures(np.stack([np.cos(angles), np.sin(angles)], axis=1), grid)

    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        return np.array([[1.0, 0.0]] * len(texts), np.float32)


def grey_ramp(reds: Sequence[int], **fields: Any) -> Frames:
    """Frames that no thumbnail takes for each other, of which the encoder sees the red value alone."""
    return make_frames([(red, 20 * (i % 13), 20 * (i % 12)) for i, red in enumerate(reds)], **fields)


def embedded(reds: Sequence[int], config: ClipCutConfig) -> list[int]:
    return encode_frames(grey_ramp(reds), AngleEncoder(), config).frame_indices.tolist()


def every_frame(**fields: Any) -> ClipCutConfig:
    """Settings under which every frame is a group and all are one shot."""
    return ClipCutConfig(group_size=1, min_frames=1, duplicate_threshold=0, cut_threshold=255, **fields)


def test_of_a_shot_that_looks_alike_to_the_encoder_few_frames_are_embedded():
    assert embedded([90] * 17, every_frame(top_k=1)) == [0, 8, 16]
    assert embedded([90] * 9, every_frame(top_k=1)) == [0, 8]
    assert embedded([90] * 7, every_frame(top_k=1)) == [0, 6]
    assert embedded([90], every_frame(top_k=1)) == [0]


def test_as_many_frames_are_embedded_as_keyframes_are_wanted_evenly_spread():
    assert embedded([90] * 13, every_frame(top_k=4)) == [0, 4, 8, 12]
    assert embedded([90] * 13, every_frame(top_k=7)) == [0, 2, 4, 6, 8, 10, 12]
    assert embedded([90] * 5, every_frame(top_k=9)) == [0, 1, 2, 3, 4]


def test_between_two_that_are_unlike_the_middle_is_embedded_until_neighbours_are_alike():
    """The scene changes between frames 2 and 3 of nine, too softly for a cut."""
    reds = [0] * 3 + [200] * 6
    encoder = AngleEncoder()
    encoded = encode_frames(grey_ramp(reds), encoder, every_frame(top_k=1))

    assert encoded.frame_indices.tolist() == [0, 2, 3, 4, 8]
    assert encoder.calls == [[0, 200], [200], [0], [200]]
    assert encoded.grid[:, 0, 0].tolist() == [0, 0, 200, 200, 200]
    assert encoded.embeddings[:, 0].tolist() == pytest.approx([1, 1, *[np.cos(np.pi / 2 * 200 / 255)] * 3])


def test_what_is_not_embedded_lies_between_two_that_are_alike():
    config = every_frame(top_k=3, unlike_distance=0.02)
    rng = np.random.default_rng(0)
    for _ in range(20):
        reds = np.clip(np.cumsum(rng.integers(-20, 21, 60)) + 128, 0, 255).tolist()
        encoded = encode_frames(grey_ramp(reds), AngleEncoder(), config)
        neighbours = (encoded.embeddings[:-1] * encoded.embeddings[1:]).sum(axis=1)
        gaps = np.diff(encoded.frame_indices)

        assert (encoded.frame_indices[[0, -1]] == [0, 59]).all()
        assert ((gaps == 1) | (neighbours > 1 - 0.02)).all()
        assert gaps.max() <= 8


def test_a_loop_that_ends_as_it_began_is_looked_at_in_between():
    reds = [0] * 10 + [200] * 10 + [0] * 10
    assert set(embedded(reds, every_frame(top_k=1))) & set(range(10, 20))


def test_at_a_distance_of_zero_every_group_is_embedded():
    assert embedded([90] * 20, every_frame(unlike_distance=0)) == list(range(20))


def test_every_scene_of_six_has_a_frame_and_its_own_is_found(colour_embedder):
    colours = ["red", "green", "blue", "white", "black", (255, 255, 0)]
    for length in (1, 2, 5, 30):
        frames = make_frames([colour for colour in colours for _ in range(length)])
        encoded = encode_frames(frames, colour_embedder, ClipCutConfig(top_k=1))
        assert set(encoded.frame_indices // length) == set(range(6))
        for place, colour in enumerate(colours[:4]):
            found = select_keyframes(encoded, f"the {colour} one", colour_embedder, ClipCutConfig(top_k=1))
            assert found.indices[0] // length == place


def test_no_shot_is_refined_across_its_cuts():
    """Both ends of each of two shots are embedded, and nothing else, however unlike the shots are."""
    config = every_frame(top_k=1).model_copy(update={"cut_threshold": 50})
    frames = make_frames([(0, 0, 20 * i) for i in range(6)] + [(250, 250, 20 * i) for i in range(6)])
    encoder = AngleEncoder()

    assert encode_frames(frames, encoder, config).frame_indices.tolist() == [0, 5, 6, 11]
    assert len(encoder.calls) == 1


def test_only_representatives_are_embedded(colour_embedder):
    encode_frames(make_frames(["red"] * 20 + ["blue"] * 20), colour_embedder, ClipCutConfig())
    assert colour_embedder.num_frames_encoded == 2


def test_source_indices_are_kept_when_the_decoder_skipped_frames(colour_embedder):
    frames = make_frames(
        ["red", "blue"],
        frame_indices=np.array([4, 9]),
        pts_seconds=np.array([0.4, 0.9]),
        num_frames=12,
        duration_seconds=1.2,
    )
    encoded = encode_frames(frames, colour_embedder, ClipCutConfig())
    keyframes = select_keyframes(encoded, "blue", colour_embedder, ClipCutConfig(), top_k=1)
    assert keyframes.indices.tolist() == [9]
    assert keyframes.num_frames == 12


def test_too_many_distinct_frames_are_thinned_evenly_with_a_warning(colour_embedder):
    config = ClipCutConfig(group_size=1, max_frames=5, unlike_distance=0)
    encoded = encode_frames(make_frames(["red", "blue"] * 10), colour_embedder, config)
    assert encoded.frame_indices.tolist() == [0, 5, 10, 14, 19]
    assert encoded.warnings == ("the GIF has 20 distinct frames; 5 of them, evenly spread, are searched",)


def test_fewer_distinct_frames_than_asked_for_are_all_returned_with_a_warning(colour_embedder):
    encoded = encode_frames(make_frames(["red"] * 6 + ["blue"] * 6), colour_embedder, ClipCutConfig())
    keyframes = select_keyframes(encoded, "red", colour_embedder, ClipCutConfig(), top_k=20)
    assert len(keyframes) == 2
    assert keyframes.warnings == ("20 keyframes were asked for; the GIF has only 2 distinct frames",)


def test_a_still_image_is_its_own_keyframe_without_a_warning(colour_embedder):
    encoded = encode_frames(make_frames(["red"]), colour_embedder, ClipCutConfig())
    keyframes = select_keyframes(encoded, "What is happening?", colour_embedder, ClipCutConfig())
    assert keyframes.indices.tolist() == [0]
    assert keyframes.warnings == ()


def test_the_warnings_of_the_decoder_come_along(colour_embedder):
    encoded = encode_frames(make_frames(["red"], warnings=("damaged",)), colour_embedder, ClipCutConfig())
    assert select_keyframes(encoded, "red", colour_embedder, ClipCutConfig()).warnings == ("damaged",)


def test_a_question_about_the_whole_gif_covers_it(colour_embedder):
    colours = ["red", "green", "blue", "white", "black", "red", "green", "blue"]
    encoded = encode_frames(make_frames(colours), colour_embedder, ClipCutConfig())
    keyframes = select_keyframes(encoded, "What happens with the red?", colour_embedder, ClipCutConfig())
    assert keyframes.indices.tolist() == [1, 3, 5, 7]


def test_a_description_is_a_second_query_with_half_the_weight(colour_embedder):
    encoded = encode_frames(make_frames(["red", "green", "blue"]), colour_embedder, EVERY_FRAME)

    def scores(question: str, description: str | None = None) -> np.ndarray:
        keyframes = select_keyframes(
            encoded, question, colour_embedder, EVERY_FRAME, description=description, top_k=3
        )
        return keyframes.scores

    np.testing.assert_allclose(scores("red", "green"), (scores("red") + scores("green")) / 2, atol=1e-6)
    np.testing.assert_allclose(scores("red", " \n"), scores("red"))


@pytest.mark.parametrize("question", ["", "  \n", "\x00\x07"])
def test_an_empty_question_is_refused(question: str, colour_embedder):
    encoded = encode_frames(make_frames(["red"]), colour_embedder, ClipCutConfig())
    with pytest.raises(
        ConfigError, match=r"the question is empty; it needs at least one word. Ask for example"
    ):
        select_keyframes(encoded, question, colour_embedder, ClipCutConfig())


def test_control_characters_do_not_reach_the_encoder(colour_embedder):
    encoded = encode_frames(make_frames(["red", "blue"]), colour_embedder, ClipCutConfig())
    keyframes = select_keyframes(
        encoded, "the\x00blue\x1b\u202e one", colour_embedder, ClipCutConfig(), top_k=1
    )
    assert keyframes.indices.tolist() == [1]


def test_a_long_question_is_cut_with_a_warning(colour_embedder):
    encoded = encode_frames(make_frames(["red", "blue"]), colour_embedder, ClipCutConfig())
    question = "blue " + "is it so " * 1_111
    keyframes = select_keyframes(encoded, question, colour_embedder, ClipCutConfig(), top_k=1)
    assert keyframes.indices.tolist() == [1]
    assert keyframes.warnings == (
        f"the question has {len(question.strip())} characters; the search for keyframes reads the first 500",
    )


def test_no_keyframes_cannot_be_asked_for(colour_embedder):
    encoded = encode_frames(make_frames(["red"]), colour_embedder, ClipCutConfig())
    with pytest.raises(ConfigError, match=r"top_k is 0; it must be at least 1. Ask for one keyframe or more"):
        select_keyframes(encoded, "red", colour_embedder, ClipCutConfig(), top_k=0)


class BrokenEncoder:
    name = "broken"

    def __init__(self, embeddings: np.ndarray) -> None:
        self.embeddings = embeddings

    def encode_frames(self, pixels: np.ndarray) -> FrameFeatures:
        return FrameFeatures(self.embeddings)

    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        return self.embeddings[:1]


@pytest.mark.parametrize("embeddings", [np.ones((3, 2), np.float32), np.full((1, 2), np.nan, np.float32)])
def test_an_encoder_that_gives_other_than_a_finite_vector_a_frame_is_named(embeddings: np.ndarray):
    with pytest.raises(
        CheckpointError, match=r"the encoder broken gave .* each frame needs one finite vector"
    ):
        encode_frames(make_frames(["red"]), BrokenEncoder(embeddings), ClipCutConfig())


def test_a_misspelt_setting_and_one_out_of_range_are_refused():
    with pytest.raises(ValidationError, match="grup_size"):
        ClipCutConfig(grup_size=3)
    with pytest.raises(ValidationError, match="less than or equal to 1"):
        ClipCutConfig(diversity=1.5)


def test_encoded_frames_know_their_number(colour_embedder):
    encoded = encode_frames(make_frames(["red", "blue"]), colour_embedder, ClipCutConfig())
    assert isinstance(encoded, EncodedFrames)
    assert len(encoded) == 2


def test_a_gif_file_is_searched_end_to_end(make_gif, colour_embedder):
    """A red GIF is red at the encoder: the original swapped the channels."""
    from gifqa.frames import decode_frames
    from gifqa.media import load_media

    path = make_gif(["black"] * 6 + ["red"] * 6 + ["blue"] * 6, [100] * 12 + [50] * 6)
    encoded = encode_frames(decode_frames(load_media(path)), colour_embedder, ClipCutConfig())
    red = select_keyframes(encoded, "red", colour_embedder, ClipCutConfig(), top_k=1)
    assert 6 <= red.indices[0] < 12
    assert red.scores[0] == pytest.approx(1, abs=1e-3)
    assert red.duration_seconds == pytest.approx(1.5)
