import io
import struct
import zlib
from contextlib import suppress

import numpy as np
import pytest
from PIL import Image, ImageDraw

from gifqa.errors import MediaTooLarge, UnreadableMedia, UnsupportedMedia
from gifqa.frames import decode_frames
from gifqa.media import MediaLimits, load_media

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def decode(data, limits=None, **options):
    return decode_frames(load_media(data), limits, **options)


def ball_images(mode="RGB", count=6, size=(40, 30)):
    images = []
    for step in range(count):
        image = Image.new(mode, size, "navy" if mode == "RGB" else (0, 0, 0, 0))
        ImageDraw.Draw(image).ellipse((step * 5, 8, step * 5 + 12, 20), fill="orange")
        images.append(image)
    return images


def save(images, kind, **options):
    out = io.BytesIO()
    images[0].save(out, kind, save_all=len(images) > 1, append_images=images[1:], **options)
    return out.getvalue()


def chunk(name, body):
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png_chunks(data):
    position = len(PNG_SIGNATURE)
    while position < len(data):
        length, name = struct.unpack_from(">I4s", data, position)
        yield name, data[position + 8 : position + 8 + length]
        position += 12 + length


def on_white(image):
    canvas = Image.new("RGBA", image.size, "white")
    canvas.alpha_composite(image.convert("RGBA"))
    return np.asarray(canvas.convert("RGB"))


@pytest.mark.parametrize("kind", ["WEBP", "PNG"])
@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_animation_keeps_pixels_and_times(kind, mode):
    images = ball_images(mode)
    durations = [100, 40, 0, 200, 10, 70]
    options = {"lossless": True, "exact": True} if kind == "WEBP" else {"default_image": False}
    frames = decode(save(images, kind, duration=durations, **options))
    shown = [duration if duration > 10 else 100 for duration in durations]
    np.testing.assert_allclose(frames.pts_seconds, np.cumsum([0, *shown[:-1]]) / 1000)
    assert frames.duration_seconds == pytest.approx(sum(shown) / 1000)
    for frame, image in zip(frames.pixels, images, strict=True):
        assert np.array_equal(frame, on_white(image))


@pytest.mark.parametrize("kind", ["WEBP", "PNG"])
def test_only_wanted_frames(kind):
    data = save(ball_images(), kind, duration=50, **({"lossless": True} if kind == "WEBP" else {}))
    whole = decode(data)
    some = decode(data, indices=[4, 1])
    assert some.frame_indices.tolist() == [1, 4]
    assert np.array_equal(some.pixels, whole.pixels[[1, 4]])
    assert some.num_frames == 6


def test_default_image_of_an_apng_is_no_frame():
    """Pillow counts it as frame 0."""
    images = [Image.new("RGB", (8, 6), colour) for colour in ("white", "red", "lime")]
    frames = decode(save(images, "PNG", default_image=True, duration=30))
    assert frames.pixels[:, 0, 0].tolist() == [[255, 0, 0], [0, 255, 0]]
    assert frames.pts_seconds.tolist() == [0, 0.03]


def test_apng_that_declares_more_frames_than_it_has():
    data = save(ball_images(), "PNG", duration=50)
    pieces = [chunk(name, body) for name, body in png_chunks(data)]
    pieces[1] = chunk(b"acTL", struct.pack(">II", 9, 0))
    frames = decode(PNG_SIGNATURE + b"".join(pieces))
    assert len(frames) == 6
    assert "6 of its 9 frames are there" in frames.warnings[0]


def test_apng_without_a_readable_frame_gives_its_default_image():
    """An acTL chunk that declares no frames: browsers show the still image."""
    data = save(ball_images(), "PNG", duration=50)
    pieces = [(name, body) for name, body in png_chunks(data) if name not in (b"fcTL", b"fdAT")]
    pieces[1] = (b"acTL", struct.pack(">II", 0, 0))
    broken = PNG_SIGNATURE + b"".join(chunk(name, body) for name, body in pieces)
    with pytest.warns(UserWarning, match="Invalid APNG"):
        frames = decode(broken)
    assert np.array_equal(frames.pixels[0], np.asarray(ball_images()[0]))


def test_truncated_apng_gives_the_frames_before():
    data = save(ball_images(), "PNG", duration=50)
    last = data.rindex(b"fdAT")
    frames = decode(data[: last + 20])
    assert len(frames) == 5
    assert "5 of 6 frames decode" in frames.warnings[-1]


def test_truncated_webp_gives_the_frames_before():
    """libwebp refuses the whole file."""
    data = save(ball_images(), "WEBP", duration=50, lossless=True)
    last = data.rindex(b"ANMF")
    frames = decode(data[: last + 30])
    assert len(frames) == 5
    assert "is cut short: 5 of its 6 frames are there" in frames.warnings[0]
    assert np.array_equal(frames.pixels[4], np.asarray(ball_images()[4]))


def test_webp_cut_in_its_first_frame():
    data = save(ball_images(), "WEBP", duration=50, lossless=True)
    with pytest.raises(UnreadableMedia, match="ends within its first frame; get the whole file"):
        decode(data[: data.index(b"ANMF") + 30])


class TestStills:
    @pytest.mark.parametrize("kind", ["PNG", "BMP", "WEBP"])
    def test_one_frame(self, kind):
        image = ball_images()[2]
        frames = decode(save([image], kind, **({"lossless": True} if kind == "WEBP" else {})))
        assert (len(frames), frames.num_frames, frames.duration_seconds) == (1, 1, 0.1)
        assert np.array_equal(frames.pixels[0], np.asarray(image))

    def test_jpeg_keeps_the_order_of_colours(self):
        frames = decode(save([Image.new("RGB", (16, 16), "red")], "JPEG"))
        assert np.abs(frames.pixels[0].astype(int) - [255, 0, 0]).max() < 5

    @pytest.mark.parametrize("orientation", range(1, 9))
    def test_exif_orientation_turns_the_picture_upright(self, orientation):
        stored = np.zeros((24, 40, 3), np.uint8)
        stored[:8, :8, 0] = 255
        exif = Image.Exif()
        exif[0x0112] = orientation
        frames = decode(save([Image.fromarray(stored)], "JPEG", exif=exif, quality=95))
        corner = {
            1: (0, 0),
            2: (0, -1),
            3: (-1, -1),
            4: (-1, 0),
            5: (0, 0),
            6: (0, -1),
            7: (-1, -1),
            8: (-1, 0),
        }
        assert frames.pixels.shape[1:3] == ((24, 40) if orientation < 5 else (40, 24))
        assert frames.pixels[0][corner[orientation]][0] > 200

    def test_orientation_out_of_range_is_ignored(self):
        exif = Image.Exif()
        exif[0x0112] = 60000
        image = Image.new("RGB", (40, 24), "red")
        assert decode(save([image], "JPEG", exif=exif)).pixels.shape[1:3] == (24, 40)

    @pytest.mark.parametrize(
        ("image", "expected"),
        [
            (Image.new("L", (4, 4), 77), [77] * 3),
            (Image.new("LA", (4, 4), (77, 0)), [255] * 3),
            (Image.new("RGBA", (4, 4), (255, 0, 0, 0)), [255] * 3),
            (Image.new("RGBA", (4, 4), (255, 0, 0, 255)), [255, 0, 0]),
            (Image.new("1", (4, 4), 1), [255] * 3),
            (Image.fromarray(np.full((4, 4), 77 * 257, np.uint16)), [77] * 3),
        ],
        ids=lambda value: getattr(value, "mode", ""),
    )
    def test_modes(self, image, expected):
        assert decode(save([image], "PNG")).pixels[0, 0, 0].tolist() == expected

    def test_cmyk_jpeg(self):
        frames = decode(save([Image.new("CMYK", (16, 16), (0, 255, 255, 0))], "JPEG"))
        assert np.abs(frames.pixels[0, 0, 0].astype(int) - [255, 0, 0]).max() < 6

    @pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "WEBP"])
    def test_truncated(self, kind):
        noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 40, 3)).astype(np.uint8))
        data = save([noise], kind)
        with pytest.raises(UnreadableMedia, match=r"is damaged.* [Gg]et the whole file"):
            decode(data[: len(data) // 2])

    @pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "WEBP", "GIF"])
    def test_any_byte_may_be_wrong(self, kind):
        """Damage gives frames or one of our errors, never another exception."""
        data = bytearray(save(ball_images(count=3 if kind in ("GIF", "PNG", "WEBP") else 1), kind))
        rng = np.random.default_rng(1)
        num_readable = 0
        for _ in range(120):
            damaged = data.copy()
            for position in rng.integers(8 if kind == "PNG" else 12, len(data), 3):
                damaged[position] = rng.integers(0, 256)
            with suppress(UnreadableMedia, UnsupportedMedia, MediaTooLarge):
                num_readable += len(decode(bytes(damaged))) > 0
        assert num_readable


class TestLimits:
    @pytest.mark.parametrize("kind", ["webp", "png", "apng"])
    def test_canvas_is_refused_by_its_header(self, kind):
        """A WebP decoder reserves its canvas when it is opened, before anyone can look at the size."""
        if kind == "webp":
            vp8x = struct.pack("<4sIB3x", b"VP8X", 10, 2) + (16383).to_bytes(3, "little") * 2
            body = b"WEBP" + vp8x + struct.pack("<4sI", b"ANMF", 24) + bytes(24)
            data = b"RIFF" + struct.pack("<I", len(body)) + body
        else:
            header = chunk(b"IHDR", struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0))
            control = chunk(b"acTL", struct.pack(">II", 1, 0)) + chunk(b"fcTL", bytes(26))
            data = PNG_SIGNATURE + header + (control if kind == "apng" else b"") + chunk(b"IDAT", b"")
        with pytest.raises(MediaTooLarge, match=r"is \d+x\d+ pixels.*raise --max-side"):
            decode(data)

    def test_jpeg_that_pillow_calls_a_bomb(self):
        data = save([Image.new("RGB", (16, 16))], "JPEG")
        size = data.index(b"\xff\xc0") + 5
        with pytest.raises(MediaTooLarge, match=r"is too large .*scale it down"):
            decode(data[:size] + b"\xff\xdc" * 2 + data[size + 4 :])

    def test_still_webp_by_its_header(self):
        with pytest.raises(MediaTooLarge, match="64x64 pixels"):
            decode(save([Image.new("RGB", (64, 64))], "WEBP"), MediaLimits(max_side=63))

    @pytest.mark.parametrize("kind", ["WEBP", "PNG"])
    def test_pixels_of_all_frames_and_number_of_frames(self, kind):
        data = save(ball_images(), kind, duration=50)
        with pytest.raises(MediaTooLarge, match=r"\(width x height x frames\).*--max-megapixels"):
            decode(data, MediaLimits(max_pixels_decoded=40 * 30 * 6 - 1))
        assert len(decode(data, MediaLimits(max_pixels_decoded=40 * 30 * 6))) == 6
        with pytest.raises(MediaTooLarge, match="more than 5 frames"):
            decode(data, MediaLimits(max_frames_scanned=5))

    @pytest.mark.parametrize("kind", ["WEBP", "PNG"])
    def test_time(self, kind):
        with pytest.raises(MediaTooLarge, match="--max-seconds"):
            decode(save(ball_images(), kind, duration=50), MediaLimits(timeout_seconds=1e-6))

    def test_progressive_jpeg_of_thousands_of_scans(self):
        """Each scan of a few bytes goes over every pixel: 1 MB can keep libjpeg busy for hours."""
        data = save([Image.new("RGB", (2000, 2000), "red")], "JPEG", progressive=True)
        scan = data[data.rindex(b"\xff\xda") : -2]
        with pytest.raises(MediaTooLarge, match=r"megapixels to decode"):
            decode(data[:-2] + scan * 500 + data[-2:])


class TestFramesOneByOne:
    def test_sizes_must_agree(self):
        small, large = np.zeros((6, 8, 3), np.uint8), np.zeros((12, 16, 3), np.uint8)
        with pytest.raises(
            UnreadableMedia, match=r"frame 1 of .* has 16x12 pixels, frame 0 has 8x6; all frames"
        ):
            decode([small, large])

    def test_last_a_tenth_of_a_second_each(self):
        frames = decode(np.zeros((4, 6, 8, 3), np.uint8))
        np.testing.assert_allclose(frames.pts_seconds, [0, 0.1, 0.2, 0.3])
        assert frames.duration_seconds == pytest.approx(0.4)

    def test_damaged_file_in_a_folder_is_left_out(self, tmp_path):
        for name in "abc":
            Image.new("RGB", (64, 48), "red").save(tmp_path / f"{name}.png")
        data = (tmp_path / "b.png").read_bytes()
        (tmp_path / "b.png").write_bytes(data[: data.index(b"IDAT") + 20])
        frames = decode(tmp_path)
        assert frames.frame_indices.tolist() == [0, 2]
        assert "2 of 3 frames decode" in frames.warnings[0]
