import io
import time
from contextlib import suppress

import av
import numpy as np
import pytest

from gifqa.errors import MediaTooLarge, UnreadableMedia, UnsupportedMedia
from gifqa.frames import decode_frames
from gifqa.media import MediaLimits, load_media

RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)
CONTAINERS = [
    ("mp4", "mp4", "libx264"),
    ("mov", "mov", "mpeg4"),
    ("webm", "webm", "libvpx"),
    ("mkv", "matroska", "libx264"),
    ("avi", "avi", "mpeg4"),
]


def encode(container, codec, colours, *, size=(64, 48), rate=10, rotation=0, pts=None):
    """A video of one colour a frame, a black stripe at its left edge."""
    out = io.BytesIO()
    with av.open(out, "w", format=container) as output:
        stream = output.add_stream(codec, rate=rate)
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        if rotation:
            stream.set_display_rotation(rotation)
        for index, colour in enumerate(colours):
            pixels = np.full((size[1], size[0], 3), colour, np.uint8)
            pixels[:, :16] = 0
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts = pts[index] if pts else index
            output.mux(stream.encode(frame))
        output.mux(stream.encode())
    return out.getvalue()


def decode(data, limits=None, **options):
    return decode_frames(load_media(data), limits, **options)


def is_near(pixel, colour):
    return np.abs(np.asarray(pixel, int) - colour).max() < 20


@pytest.mark.parametrize(("kind", "container", "codec"), CONTAINERS)
def test_every_container(kind, container, codec):
    colours = [RED, GREEN, BLUE] * 4
    data = encode(container, codec, colours)
    media = load_media(data)
    assert media.kind == kind
    frames = decode_frames(media)
    assert frames.pixels.shape == (12, 48, 64, 3)
    assert all(map(is_near, frames.pixels[:, 24, 40], colours))
    np.testing.assert_allclose(frames.pts_seconds, np.arange(12) / 10, atol=1e-3)
    assert frames.duration_seconds == pytest.approx(1.2, abs=0.01)
    assert frames.warnings == ()


@pytest.mark.parametrize(("kind", "container", "codec"), CONTAINERS)
def test_only_wanted_frames(kind, container, codec):
    data = encode(container, codec, [RED, GREEN, BLUE] * 4)
    whole, some = decode(data), decode(data, indices=[7, 2, 11])
    assert some.frame_indices.tolist() == [2, 7, 11]
    assert np.array_equal(some.pixels, whole.pixels[[2, 7, 11]])
    assert some.pts_seconds.tolist() == whole.pts_seconds[[2, 7, 11]].tolist()


def test_variable_frame_rate():
    data = encode("mp4", "libx264", [RED, GREEN, BLUE], pts=[0, 7, 9])
    np.testing.assert_allclose(decode(data).pts_seconds, [0, 0.7, 0.9])


def test_one_frame():
    frames = decode(encode("mp4", "libx264", [RED]))
    assert (len(frames), frames.num_frames) == (1, 1)
    assert frames.duration_seconds > 0


@pytest.mark.parametrize(
    ("rotation", "is_black"), [(90, np.s_[-1, 20]), (180, np.s_[20, -1]), (-90, np.s_[0, 20])]
)
def test_rotated_video_is_turned_upright(rotation, is_black):
    """Telephones store what they filmed lying down and say by how much to turn it."""
    frames = decode(encode("mp4", "libx264", [RED] * 3, rotation=rotation))
    assert frames.pixels.shape[1:3] == ((48, 64) if rotation == 180 else (64, 48))
    assert is_near(frames.pixels[0][is_black], (0, 0, 0))
    assert not is_near(frames.pixels[0][24, 24], (0, 0, 0))


def test_sampling_counts_all_frames_and_keeps_a_few():
    frames = decode(encode("mp4", "libx264", [RED, GREEN, BLUE] * 7), MediaLimits(max_frames=5))
    assert frames.frame_indices.tolist() == [0, 5, 10, 15, 20]
    assert frames.num_frames == 21


class TestDamage:
    @pytest.mark.parametrize(("kind", "container", "codec"), CONTAINERS[2:4])
    def test_cut_short(self, kind, container, codec):
        data = encode(container, codec, [RED, GREEN, BLUE] * 10, size=(160, 120))
        frames = decode(data[: len(data) * 2 // 3])
        assert 0 < frames.num_frames < 30
        assert "is cut short" in frames.warnings[0]
        assert "of its 3.0 seconds are there" in frames.warnings[0]

    def test_without_its_index(self):
        data = encode("mp4", "libx264", [RED] * 10)
        for length in (len(data) // 3, len(data) // 2, len(data) * 2 // 3):
            with pytest.raises(UnreadableMedia, match=r"cannot be read as mp4 \(.*\); get the whole file"):
                decode(data[:length])

    @pytest.mark.parametrize(("kind", "container", "codec"), CONTAINERS)
    def test_any_byte_may_be_wrong(self, kind, container, codec):
        data = bytearray(encode(container, codec, [RED, GREEN, BLUE] * 2))
        rng = np.random.default_rng(2)
        for _ in range(25):
            damaged = data.copy()
            for position in rng.integers(48, len(data), 8):
                damaged[position] = rng.integers(0, 256)
            with suppress(UnreadableMedia, UnsupportedMedia, MediaTooLarge):
                assert len(decode(bytes(damaged)))

    def test_header_and_nothing_else(self):
        for head in (
            b"\x00\x00\x00\x18ftypmp42" + bytes(40),
            b"\x1a\x45\xdf\xa3" + bytes(40),
            b"RIFF\0\0\0\0AVI ",
        ):
            with pytest.raises(UnreadableMedia, match=r"cannot be read as|has no frames"):
                decode(head)

    def test_sound_only(self):
        out = io.BytesIO()
        with av.open(out, "w", format="mp4") as output:
            stream = output.add_stream("aac", rate=8000)
            sound = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.float32), format="fltp", layout="mono")
            sound.rate = 8000
            output.mux(stream.encode(sound))
            output.mux(stream.encode())
        with pytest.raises(UnsupportedMedia, match="has sound but no video in it; give"):
            decode(out.getvalue())


class TestLimits:
    def test_canvas(self):
        data = encode("mp4", "libx264", [RED] * 2)
        with pytest.raises(MediaTooLarge, match="is 64x48 pixels; a side may have 63"):
            decode(data, MediaLimits(max_side=63))

    def test_number_of_frames(self):
        data = encode("mp4", "libx264", [RED] * 12)
        assert len(decode(data, MediaLimits(max_frames_scanned=12))) == 12
        with pytest.raises(MediaTooLarge, match="more than 11 frames"):
            decode(data, MediaLimits(max_frames_scanned=11))

    def test_pixels_kept(self):
        data = encode("mp4", "libx264", [RED] * 12)
        frames = decode(data, MediaLimits(max_pixels_kept=64 * 48 * 4))
        assert frames.frame_indices.tolist() == [0, 4, 7, 11]
        assert "only 4 are looked at" in frames.warnings[0]
        with pytest.raises(MediaTooLarge, match="--max-megapixels"):
            decode(data, MediaLimits(max_pixels_decoded=64 * 48 * 11))

    def test_time(self):
        data = encode("mp4", "libx264", [RED] * 12)
        started = time.monotonic()
        with pytest.raises(MediaTooLarge, match="--max-seconds"):
            decode(data, MediaLimits(timeout_seconds=1e-6))
        assert time.monotonic() - started < 5
