import io
import time

import numpy as np
import pytest
from PIL import Image, ImageDraw

from gifqa.errors import MediaTooLarge, UnreadableMedia
from gifqa.frames import decode_frames
from gifqa.media import MediaLimits, load_media

RED, GREEN, BLUE = [255, 0, 0], [0, 255, 0], [0, 0, 255]
WHITE, BLACK = [255, 255, 255], [0, 0, 0]
SIZE = (8, 6)


def decode(data, limits=None, **options):
    return decode_frames(load_media(data), limits, **options)


def corners(frames):
    """The colours of the first and the last pixel of every frame."""
    return [(frame[0, 0].tolist(), frame[-1, -1].tolist()) for frame in frames.pixels]


def test_colours_times_and_indices(make_gif):
    frames = decode(make_gif(["red", "green", "blue"], [100, 250, 40]))
    assert [frame[3, 3].tolist() for frame in frames.pixels] == [RED, GREEN, BLUE]
    assert frames.pixels.shape == (3, 24, 32, 3)
    np.testing.assert_allclose(frames.pts_seconds, [0, 0.1, 0.35])
    assert frames.duration_seconds == pytest.approx(0.39)
    assert frames.frame_indices.tolist() == [0, 1, 2]
    assert (frames.num_frames, frames.warnings) == (3, ())


def test_one_frame(make_gif):
    frames = decode(make_gif(["blue"], 0))
    assert (len(frames), frames.duration_seconds) == (1, 0.1)


@pytest.mark.parametrize(
    ("delay_cs", "seconds"), [(None, 0.1), (0, 0.1), (1, 0.1), (2, 0.02), (65535, 655.35)]
)
def test_delays_of_ten_milliseconds_or_less_play_as_a_tenth_of_a_second(
    raw_gif, raw_frame, delay_cs, seconds
):
    frames = decode(raw_gif([raw_frame(0, delay_cs=delay_cs), raw_frame(1)]))
    assert frames.pts_seconds.tolist() == [0, seconds]


def test_transparent_pixels_show_what_was_there_before_and_white_at_first(raw_gif, raw_frame):
    half = np.array([[7] * 4 + [1] * 4] * 6, np.uint8)
    frames = decode(raw_gif([raw_frame(half, transparent=7), raw_frame(0), raw_frame(half, transparent=7)]))
    assert corners(frames) == [(WHITE, GREEN), (RED, RED), (RED, GREEN)]


def test_what_no_frame_covers_is_white_whatever_the_background_colour(raw_gif, raw_frame):
    assert corners(decode(raw_gif([raw_frame(0, (2, 2))], screen=SIZE, background=2))) == [(RED, WHITE)]


@pytest.mark.parametrize(
    ("disposal", "last"), [(0, (BLUE, GREEN)), (1, (BLUE, GREEN)), (2, (BLUE, WHITE)), (3, (BLUE, RED))]
)
def test_disposal(raw_gif, raw_frame, disposal, last):
    """Red everywhere, green over it with the disposal, then blue in the first corner."""
    images = [raw_frame(0), raw_frame(1, disposal=disposal), raw_frame(2, (2, 2))]
    assert corners(decode(raw_gif(images))) == [(RED, RED), (GREEN, GREEN), last]


def test_disposal_ends_with_its_frame(raw_gif, raw_frame):
    """Pillow carries a disposal over to frames that say nothing; browsers do not."""
    images = [raw_frame(0), raw_frame(1, disposal=2), raw_frame(2, disposal=0), raw_frame(0, (1, 1))]
    assert corners(decode(raw_gif(images)))[-1] == (RED, BLUE)


def test_later_frames_are_clipped_to_the_canvas_and_the_first_enlarges_it(raw_gif, raw_frame):
    frames = decode(raw_gif([raw_frame(0, (10, 9)), raw_frame(1, (50, 50), left=5, top=5)], screen=SIZE))
    assert frames.pixels.shape == (2, 9, 10, 3)
    assert corners(frames) == [(RED, RED), (RED, GREEN)]


def test_own_palette_interlacing_and_no_palette_at_all(raw_gif, raw_frame):
    rows = np.arange(6, dtype=np.uint8)[:, None].repeat(8, 1)
    frames = decode(raw_gif([raw_frame(rows, interlaced=True), raw_frame(0, palette=["blue", "red"])]))
    plain = decode(raw_gif([raw_frame(rows)]))
    assert np.array_equal(frames.pixels[0], plain.pixels[0])
    assert frames.pixels[1, 0, 0].tolist() == BLUE
    assert decode(raw_gif([raw_frame(200)], palette=None)).pixels[0, 0, 0].tolist() == [200] * 3


def test_index_without_colour_is_transparent(raw_gif, raw_frame):
    frames = decode(raw_gif([raw_frame(0), raw_frame(77, (4, 3))], palette=["red", "green"]))
    assert corners(frames) == [(RED, RED)] * 2


def test_comments_and_other_extensions_are_passed_over(raw_gif, raw_frame):
    comment = (
        b"!\xfe\x05\xff\xfe\xfd\xfc\xfb\x00" + b"!\xff\x0bNETSCAPE2.0\x03\x01\0\0\0" + b"!\x01\x01\x00\x00"
    )
    assert len(decode(raw_gif([raw_frame(0)], extra=comment))) == 1


def test_agrees_with_pillow_on_a_drawn_animation():
    """A ball over stripes, saved as Pillow saves differences; Pillow reads its own files rightly."""
    images = []
    for step in range(12):
        image = Image.new("RGB", (60, 40), "navy")
        ImageDraw.Draw(image).rectangle((0, 10, 60, 20), fill="orange")
        ImageDraw.Draw(image).ellipse((step * 4, 8, step * 4 + 15, 23), fill="white")
        images.append(image)
    for disposal in (0, 1, 2):
        out = io.BytesIO()
        images[0].save(out, "GIF", save_all=True, append_images=images[1:], duration=50, disposal=disposal)
        frames = decode(out.getvalue())
        reference = Image.open(out)
        for index in range(reference.n_frames):
            reference.seek(index)
            assert np.array_equal(frames.pixels[index], np.asarray(reference.convert("RGB")))


@pytest.fixture
def busy_gif(raw_gif, raw_frame):
    """Forty frames of every kind of disposal, place and transparency, the same each time."""
    rng = np.random.default_rng(7)

    def image():
        width, height = rng.integers(1, 9), rng.integers(1, 7)
        full = rng.random() < 0.3
        return raw_frame(
            rng.integers(0, 8, (6, 8) if full else (height, width)).astype(np.uint8),
            left=0 if full else int(rng.integers(0, 9 - width)),
            top=0 if full else int(rng.integers(0, 7 - height)),
            disposal=int(rng.integers(0, 4)),
            transparent=7 if rng.random() < 0.5 else None,
        )

    return raw_gif([image() for _ in range(40)], screen=SIZE)


def test_skipping_frames_that_nobody_sees_changes_no_pixel(busy_gif):
    whole = decode(busy_gif)
    assert len(whole) == 40
    for index in range(40):
        alone = decode(busy_gif, indices=[index])
        assert np.array_equal(alone.pixels[0], whole.pixels[index]), index
    for limit in (2, 3, 7, 20):
        sampled = decode(busy_gif, MediaLimits(max_frames=limit))
        assert np.array_equal(sampled.pixels, whole.pixels[sampled.frame_indices])


class TestDamage:
    def test_truncated_in_a_frame(self, make_gif):
        data = make_gif(["red", "green", "blue"]).read_bytes()
        frames = decode(data[: len(data) - 30])
        assert [frame[0, 0].tolist() for frame in frames.pixels] == [RED, GREEN]
        assert (frames.num_frames, frames.duration_seconds) == (2, pytest.approx(0.2))
        assert "is cut short or damaged: 2 of 3 frames decode" in frames.warnings[-1]

    def test_without_end_mark(self, raw_gif, raw_frame):
        frames = decode(raw_gif([raw_frame(0), raw_frame(1)], trailer=b""))
        assert len(frames) == 2
        assert frames.warnings == (
            "the file ends before its end mark, after 2 frames; others may be missing",
        )

    def test_every_truncation_gives_frames_or_a_clear_error(self, make_gif):
        data = make_gif(["red", "green", "blue"], size=(16, 12)).read_bytes()
        whole = decode(data).pixels
        for length in range(13, len(data) - 1):
            try:
                frames = decode(data[:length])
            except UnreadableMedia as error:
                assert "get the whole file" in str(error).lower()
            else:
                assert frames.warnings
                is_partial = "only a part" in frames.warnings[0]
                assert is_partial or np.array_equal(frames.pixels, whole[: len(frames)])

    def test_one_damaged_frame_does_not_end_the_animation(self, raw_gif, raw_frame):
        damaged = raw_frame(1, image_data=b"\x08\x02\xff\xff\x00")
        frames = decode(raw_gif([raw_frame(0), damaged, raw_frame(2)]))
        assert frames.frame_indices.tolist() == [0, 2]
        assert frames.num_frames == 3
        assert "2 of 3 frames decode" in frames.warnings[0]

    def test_garbage_between_frames_ends_the_file(self, raw_gif, raw_frame):
        data = raw_gif([raw_frame(0), raw_frame(1)], trailer=b"\x77garbage")
        assert decode(data).warnings == ("the file is damaged after frame 2; the rest is left out",)

    def test_zeros_between_frames_are_padding(self, raw_gif, raw_frame):
        assert decode(raw_gif([raw_frame(0)], trailer=b"\0\0\0;")).warnings == ()

    def test_partly_readable_first_frame_is_salvaged(self, raw_gif, raw_frame):
        rows = np.arange(60, dtype=np.uint8)[:, None].repeat(80, 1) % 8
        data = raw_gif([raw_frame(rows)])
        frames = decode(data[: len(data) // 2])
        assert frames.pixels[0, 0, 0].tolist() == RED
        assert "is damaged; only a part of one frame could be read" in frames.warnings[0]

    def test_nothing_to_salvage(self, raw_gif, raw_frame):
        with pytest.raises(UnreadableMedia, match=r"damaged|cannot be read"):
            decode(raw_gif([raw_frame(0, image_data=b"\x08\x01\xff\x00")]))

    @pytest.mark.parametrize("trailer", [b";", b""])
    def test_no_image_at_all(self, raw_gif, raw_frame, trailer):
        data = raw_gif([raw_frame(0)])[:13] + trailer
        with pytest.raises(UnreadableMedia, match=r"is a GIF without one image .*get the whole file"):
            decode(data)

    def test_header_only(self):
        with pytest.raises(UnreadableMedia, match=r"ends within its header \(9 bytes\)"):
            decode(b"GIF89a\x01\x02\x03")


class TestSizes:
    def test_screen_of_nothing_takes_the_first_frames_size(self, raw_gif, raw_frame):
        frames = decode(raw_gif([raw_frame(0)], screen=(0, 0)))
        assert frames.pixels.shape == (1, 6, 8, 3)
        assert "declares a screen of 0x0; its first frame's size is used" in frames.warnings[0]

    def test_screen_and_frame_of_nothing(self, raw_gif, raw_frame):
        empty = raw_frame(np.zeros((0, 0), np.uint8), image_data=b"\x08\x00")
        with pytest.raises(UnreadableMedia, match=r"has a canvas of 0x0 pixels; it needs at least 1x1"):
            decode(raw_gif([empty], screen=(0, 0)))

    def test_largest_screen(self, raw_gif, raw_frame):
        with pytest.raises(
            MediaTooLarge, match=r"is 65535x65535 pixels; a side may have 8192.*raise --max-side"
        ):
            decode(raw_gif([raw_frame(0)], screen=(65535, 65535)))

    def test_canvas(self, raw_gif, raw_frame):
        with pytest.raises(
            MediaTooLarge, match=r"64\.0 megapixels; a frame may have 16\.8.*--max-canvas-megapixels"
        ):
            decode(raw_gif([raw_frame(0)], screen=(8000, 8000)))

    def test_one_frame_larger_than_any_canvas(self, raw_gif, raw_frame):
        huge = raw_frame(0, image_data=b"\x08\x00")
        data = bytearray(raw_gif([raw_frame(0), huge]))
        data[data.rindex(b",") + 5 : data.rindex(b",") + 9] = b"\xff\xff\xff\xff"
        with pytest.raises(MediaTooLarge, match="65535x65535"):
            decode(bytes(data))


class TestBombs:
    """Small files that keep Pillow, FFmpeg and OpenCV busy for a minute."""

    def test_few_bytes_many_large_frames(self, raw_gif, raw_frame):
        """4.6 KB that keep three libraries busy for more than 40 s each."""
        data = raw_gif([raw_frame(0, (1, 1))] * 201, screen=(9000, 9000))
        started = time.monotonic()
        with pytest.raises(MediaTooLarge, match="is 9000x9000 pixels"):
            decode(data)
        assert time.monotonic() - started < 5

    def test_within_the_canvas_it_costs_only_the_frames_kept(self, raw_gif, raw_frame):
        data = raw_gif([raw_frame(0, (1, 1), disposal=2)] * 4000, screen=(2000, 1000))
        frames = decode(data, MediaLimits(max_pixels_kept=10_000_000))
        assert len(frames) == 10_000_000 // (2000 * 1000)
        assert "has 4000 frames of 2000x1000 pixels; only 5 are looked at" in frames.warnings[0]
        assert "raise --max-megapixels-kept" in frames.warnings[0]

    def test_hundred_thousand_frames(self, raw_gif, raw_frame):
        one = raw_gif([raw_frame(0, (1, 1))], trailer=b"")
        head = raw_gif([raw_frame(0, (1, 1))])[: 13 + 24]
        started = time.monotonic()
        with pytest.raises(
            MediaTooLarge, match=r"more than 4096 frames, the limit\. .*raise --max-frames-scanned"
        ):
            decode(head + one[len(head) :] * 100_000 + b";")
        assert time.monotonic() - started < 5

    def test_pixels_of_all_frames_together(self, raw_gif, raw_frame):
        data = raw_gif([raw_frame(0, (100, 100), transparent=7)] * 50)
        limits = MediaLimits(max_pixels_decoded=400_000)
        with pytest.raises(
            MediaTooLarge, match=r"takes 1 megapixels to decode .* limit is 0\.4.*--max-megapixels"
        ):
            decode(data, limits)

    def test_time(self, raw_gif, raw_frame):
        data = raw_gif([raw_frame(0, (2000, 2000), image_data=b"\x08\x01\x00\x00")] * 4000)
        with pytest.raises(
            MediaTooLarge, match=r"takes more than 0\.001 seconds to decode.*raise --max-seconds"
        ):
            decode(data, MediaLimits(timeout_seconds=0.001))

    def test_many_tiny_extensions(self, raw_gif, raw_frame):
        data = raw_gif([raw_frame(0)], extra=b"!\xfe\x00" * 2_000_000)
        with pytest.raises(MediaTooLarge, match="--max-seconds"):
            decode(data, MediaLimits(timeout_seconds=0.05))
