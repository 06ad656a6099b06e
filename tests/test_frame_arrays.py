import io

import numpy as np
import pytest
from PIL import Image

from gifqa.errors import MediaTooLarge, UnreadableMedia
from gifqa.frame_arrays import frames_from_images, rgb_on_white
from gifqa.frames import decode_frames
from gifqa.limits import MediaLimits
from gifqa.media import load_media


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (Image.new("RGB", (4, 3), (1, 2, 3)), [1, 2, 3]),
        (Image.new("RGBA", (4, 3), (1, 2, 3, 255)), [1, 2, 3]),
        (Image.new("RGBA", (4, 3), (0, 0, 0, 51)), [204, 204, 204]),
        (Image.new("L", (4, 3), 9), [9, 9, 9]),
        (Image.new("1", (4, 3), 0), [0, 0, 0]),
        (Image.new("HSV", (4, 3), (0, 255, 255)), [255, 0, 0]),
        (Image.new("I", (4, 3), 65535), [255, 255, 255]),
        (Image.new("I", (4, 3), 200), [200, 200, 200]),
        (Image.new("P", (4, 3), 0), [0, 0, 0]),
    ],
    ids=lambda value: getattr(value, "mode", ""),
)
def test_every_mode_becomes_rgb_on_white(image, expected):
    pixels = rgb_on_white(image)
    assert (pixels.shape, pixels.dtype) == ((3, 4, 3), np.uint8)
    assert pixels[2, 3].tolist() == expected


def test_palette_with_a_transparent_colour():
    image = Image.new("P", (4, 3), 1)
    image.putpalette([1, 2, 3, 4, 5, 6])
    image.info["transparency"] = 1
    assert rgb_on_white(image)[0, 0].tolist() == [255, 255, 255]


def test_arrays_are_taken_as_they_are():
    array = np.zeros((2, 3, 4, 3), np.uint8)
    frames, delays_ms = frames_from_images(array, MediaLimits())
    assert len(frames) == 2
    assert np.shares_memory(frames[0], array)
    assert delays_ms is None


def test_too_many_arrays():
    with pytest.raises(MediaTooLarge, match=r"the given ndarray has more than 3 frames"):
        frames_from_images(np.zeros((4, 3, 4, 3), np.uint8), MediaLimits(max_frames_scanned=3))


def test_opened_animation_keeps_its_times_and_position(make_gif):
    with Image.open(make_gif(["red", "green", "blue"], [50, 0, 70])) as image:
        image.seek(1)
        frames = decode_frames(load_media(image))
        assert image.tell() == 1
    assert frames.pixels[:, 0, 0].tolist() == [[255, 0, 0], [0, 255, 0], [0, 0, 255]]
    np.testing.assert_allclose(frames.pts_seconds, [0, 0.05, 0.15])


def test_opened_animation_over_the_limits(make_gif):
    with Image.open(make_gif(["red", "green"])) as image:
        with pytest.raises(MediaTooLarge, match=r"2 frames of 32x24 pixels, too many.*Give its path"):
            load_media(image, MediaLimits(max_pixels_kept=1000))
        with pytest.raises(MediaTooLarge, match="more than 1 frames"):
            load_media(image, MediaLimits(max_frames_scanned=1))


def test_opened_image_that_is_damaged(make_gif):
    data = make_gif(["red", "green"]).read_bytes()
    with pytest.raises(UnreadableMedia, match="does not decode"):
        load_media(Image.open(io.BytesIO(data[:-40])))
