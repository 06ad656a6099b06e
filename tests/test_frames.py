import numpy as np
import pytest

from gifqa.frames import Frames, decode_frames, sample_indices
from gifqa.media import MediaLimits, load_media


def make_frames(**changes):
    fields = {
        "pixels": np.zeros((3, 6, 8, 3), np.uint8),
        "pts_seconds": np.array([0.0, 0.1, 0.4]),
        "duration_seconds": 0.5,
        "frame_indices": np.array([0, 1, 4]),
        "num_frames": 5,
    }
    return Frames(**(fields | changes))


def test_frames_know_their_number():
    assert len(make_frames()) == 3


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"pixels": np.zeros((3, 6, 8, 3), np.float32)},
            r"pixels must be uint8 .* not float32 \(3, 6, 8, 3\)",
        ),
        ({"pixels": np.zeros((3, 6, 8), np.uint8)}, "pixels must be uint8"),
        ({"pixels": np.zeros((0, 6, 8, 3), np.uint8)}, "pixels must be uint8 .* none 0"),
        ({"pts_seconds": np.array([0.0, 0.1])}, r"3 frames need as many times .* pts_seconds \(2,\)"),
        ({"frame_indices": np.array([0, 1])}, r"frame_indices \(2,\)"),
        ({"frame_indices": np.array([0, 1, 1])}, "must strictly increase"),
        ({"frame_indices": np.array([1, 0, 4])}, "must strictly increase"),
        ({"pts_seconds": np.array([0.0, 0.1, 0.1])}, "must strictly increase"),
        ({"frame_indices": np.array([0, 1, 5])}, r"are not within 0\.\.4"),
        ({"frame_indices": np.array([-1, 1, 4])}, r"are not within 0\.\.4"),
        ({"duration_seconds": 0.4}, r"are not within 0\.\.0\.4 s"),
        ({"pts_seconds": np.array([-0.1, 0.1, 0.4])}, "are not within"),
    ],
)
def test_frames_that_contradict_themselves_cannot_be_made(changes, message):
    with pytest.raises(ValueError, match=message):
        make_frames(**changes)


def test_sampling_never_repeats_a_frame():
    """A popular library once gave frame 0 twenty times for "20 frames of a 10-frame clip", silently."""
    for num_frames in [*range(70), 255, 256, 257, 1000, 4096]:
        for max_frames in [*range(1, 40), 255, 256, 257]:
            indices = sample_indices(num_frames, max_frames)
            assert len(indices) == min(num_frames, max_frames)
            assert all(np.diff(indices) > 0)
            assert all(0 <= index < num_frames for index in indices)


def test_sampling_is_even_and_reaches_both_ends():
    for num_frames in (10, 99, 4096):
        for max_frames in (2, 3, 9):
            indices = sample_indices(num_frames, max_frames)
            assert (indices[0], indices[-1]) == (0, num_frames - 1)
            assert np.ptp(np.diff(indices)) <= 1


def test_sampling_one_frame_takes_the_middle():
    assert sample_indices(9, 1) == [4]


@pytest.mark.parametrize("num_frames", [1, 2, 3, 7, 23])
@pytest.mark.parametrize("max_frames", [1, 2, 3, 5, 7, 23, 24])
def test_decoded_indices_strictly_increase(make_gif, num_frames, max_frames):
    colours = [(index, 0, 0) for index in range(num_frames)]
    media = load_media(make_gif(colours, 50))
    frames = decode_frames(media, MediaLimits(max_frames=max_frames))
    assert frames.frame_indices.tolist() == sample_indices(num_frames, max_frames)
    assert frames.pixels[:, 0, 0, 0].tolist() == frames.frame_indices.tolist()
    np.testing.assert_allclose(frames.pts_seconds, frames.frame_indices * 0.05)
    assert (frames.num_frames, frames.duration_seconds) == (num_frames, pytest.approx(num_frames * 0.05))
    assert frames.warnings == ()


def test_never_more_than_the_wanted_frames_in_memory(make_gif):
    """Two hundred frames are 720 KB; four are kept, so not even half of it may be allocated."""
    import tracemalloc

    media = load_media(make_gif(["red", "blue"] * 100, size=(40, 30)))
    decode_frames(media, MediaLimits(max_frames=4))
    tracemalloc.start()
    decode_frames(media, MediaLimits(max_frames=4))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 200 * 40 * 30 * 3 / 2


def test_indices_in_any_order_and_twice(make_gif):
    media = load_media(make_gif(["red", "green", "blue"]))
    assert decode_frames(media, indices=[2, 0, 2]).frame_indices.tolist() == [0, 2]
    assert decode_frames(media, indices=np.array([1])).frame_indices.tolist() == [1]


@pytest.mark.parametrize("indices", [[], [3], [-1], [0, 99]])
def test_indices_that_are_no_frames(make_gif, indices):
    media = load_media(make_gif(["red", "green", "blue"]))
    with pytest.raises(ValueError, match=r"give at least one, all within 0\.\.2"):
        decode_frames(media, indices=indices)


def test_same_media_decode_to_the_same_frames(make_gif):
    media = load_media(make_gif(["red", "green", "blue"]))
    assert np.array_equal(decode_frames(media).pixels, decode_frames(media).pixels)


def test_frames_may_be_written_to(make_gif):
    """Nothing shares memory with the media, and torch warns about read-only arrays."""
    image = np.zeros((6, 8, 3), np.uint8)
    for source in (make_gif(["red"]), image):
        assert decode_frames(load_media(source)).pixels.flags.writeable
    decode_frames(load_media(image)).pixels[:] = 9
    assert not image.any()
