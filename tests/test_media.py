import base64
import hashlib
import io
import os
import socket

import numpy as np
import pytest
from PIL import Image

from gifqa.errors import MediaTooLarge, UnreadableMedia, UnsupportedMedia
from gifqa.frames import decode_frames
from gifqa.media import MediaLimits, load_media

SMALL = MediaLimits(max_bytes=100)


@pytest.fixture
def gif(make_gif):
    return make_gif(["red", "green"])


def save_png(path, colour="red", size=(8, 6)):
    Image.new("RGB", size, colour).save(path)


def test_path_string_bytes_and_stream_are_the_same_media(gif):
    data = gif.read_bytes()
    sources = [gif, str(gif), data, bytearray(data), memoryview(data), io.BytesIO(data)]
    for media in map(load_media, sources):
        assert (media.kind, media.data) == ("gif", data)
        assert media.content_hash == hashlib.sha256(data).hexdigest()
    assert load_media(gif).name == "clip.gif"


def test_media_pass_through(gif):
    media = load_media(gif)
    assert load_media(media) is media


def test_file_object_is_named_and_read_from_where_it_stands(gif):
    with gif.open("rb") as stream:
        assert load_media(stream).name == "clip.gif"


def test_reads_standard_input(gif, monkeypatch):
    class Stdin:
        buffer = io.BytesIO(gif.read_bytes())

    monkeypatch.setattr("sys.stdin", Stdin)
    media = load_media("-")
    assert (media.name, media.kind) == ("standard input", "gif")


def test_stream_with_short_reads_is_read_to_its_end(gif):
    data = gif.read_bytes()

    class Drip(io.RawIOBase):
        position = 0

        def read(self, size=-1):
            self.position += 10
            return data[self.position - 10 : self.position]

    assert load_media(Drip()).data == data


def test_data_urls(gif):
    data = gif.read_bytes()
    encoded = base64.b64encode(data).decode()
    assert load_media(f"data:image/gif;base64,{encoded}").data == data
    assert load_media(f"DATA:;base64,{encoded.replace('+', '%2B')}").data == data
    percent = "".join(f"%{byte:02x}" for byte in data)
    assert load_media(f"data:image/gif,{percent}").data == data


def test_format_counts_not_the_name(gif, tmp_path):
    misnamed = tmp_path / "movie.mp4"
    misnamed.write_bytes(gif.read_bytes())
    assert load_media(misnamed).kind == "gif"


def test_named_pipe_is_read(gif, tmp_path):
    import threading

    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(gif.read_bytes(),))
    writer.start()
    assert load_media(pipe).kind == "gif"
    writer.join()


def test_folder_frames_are_in_natural_order(tmp_path):
    for number, colour in ((10, "blue"), (2, "green"), (1, "red")):
        save_png(tmp_path / f"frame{number}.png", colour)
    (tmp_path / "notes.txt").write_text("not a frame")
    media = load_media(tmp_path)
    assert (media.kind, media.name) == ("frames", tmp_path.name)
    frames = decode_frames(media)
    assert frames.pixels[:, 0, 0].tolist() == [[255, 0, 0], [0, 128, 0], [0, 0, 255]]


def test_folder_mixes_formats_and_odd_names(tmp_path):
    for name in ("a.PNG", "b.jpg", "c.bmp", "d.webp", "²x.png", "x²1.png"):
        Image.new("RGB", (8, 6), "red").save(tmp_path / name)
    assert len(decode_frames(load_media(tmp_path))) == 6


def test_arrays_and_pil_images_become_frames():
    red = np.zeros((6, 8, 3), np.uint8)
    red[..., 0] = 255
    pil = Image.fromarray(red)
    for source in (red, red[None], [red], (pil,), pil):
        frames = decode_frames(load_media(source))
        assert len(frames) == 1
        assert np.array_equal(frames.pixels[0], red)
    assert len(decode_frames(load_media(np.stack([red, 255 - red])))) == 2
    assert len(decode_frames(load_media([red, pil, red]))) == 3


def test_hash_of_frames_tells_content_and_shape():
    one, other = np.zeros((6, 8, 3), np.uint8), np.zeros((8, 6, 3), np.uint8)
    hashes = {load_media(source).content_hash for source in (one, other, [one, one], one + 1)}
    assert len(hashes) == 4
    assert load_media(one).content_hash == load_media([one.copy()]).content_hash
    assert load_media(one[:, ::-1]).content_hash == load_media(one).content_hash


class TestRefuses:
    """Bad input: one clear line that says what was given, what is allowed and what to do."""

    def test_missing_file(self):
        with pytest.raises(UnreadableMedia, match=r"'no/cat\.gif' does not exist; give a file, a folder"):
            load_media("no/cat.gif")

    def test_empty_string(self):
        """`Path("")` is the current folder, which nobody means."""
        with pytest.raises(UnreadableMedia, match="no media given; give a file"):
            load_media("")

    def test_path_with_a_null_character(self):
        with pytest.raises(UnreadableMedia, match=r"cannot be read .*check the path"):
            load_media("a\0b.gif")

    def test_name_too_long(self):
        with pytest.raises(UnreadableMedia, match=r"cannot be read \(File name too long\)"):
            load_media("x" * 5000)

    def test_empty_file(self, tmp_path):
        (tmp_path / "empty.gif").touch()
        with pytest.raises(UnreadableMedia, match=r"empty\.gif is empty \(0 bytes\)"):
            load_media(tmp_path / "empty.gif")

    def test_text_named_gif(self, tmp_path):
        (tmp_path / "notes.gif").write_text("a cat plays with a ball")
        with pytest.raises(UnsupportedMedia, match=r"notes\.gif is a text; gifqa reads GIF"):
            load_media(tmp_path / "notes.gif")

    def test_device(self):
        with pytest.raises(UnreadableMedia, match="/dev/null is a device or a socket; give a file"):
            load_media("/dev/null")

    def test_socket(self, tmp_path):
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(tmp_path / "s"))
            with pytest.raises(UnreadableMedia, match="is a device or a socket"):
                load_media(tmp_path / "s")

    def test_folder_without_images(self, tmp_path):
        (tmp_path / "notes.txt").write_text("x")
        with pytest.raises(
            UnreadableMedia, match=r"holds no images; they must end in \.png.*give another folder"
        ):
            load_media(tmp_path)

    def test_folder_with_something_else_named_png(self, tmp_path, gif):
        (tmp_path / "a.png").write_bytes(gif.read_bytes())
        with pytest.raises(UnsupportedMedia, match=r"a\.png in the folder is no still image"):
            load_media(tmp_path)

    def test_folder_too_large(self, tmp_path):
        for name in "abc":
            save_png(tmp_path / f"{name}.png")
        with pytest.raises(MediaTooLarge, match=r"the folder .* is larger than .*--max-megabytes"):
            load_media(tmp_path, SMALL)

    def test_folder_of_too_many_frames(self, tmp_path):
        for name in "abc":
            save_png(tmp_path / f"{name}.png")
        with pytest.raises(MediaTooLarge, match=r"more than 2 frames.*--max-frames-scanned"):
            load_media(tmp_path, MediaLimits(max_frames_scanned=2))

    def test_too_many_bytes(self, make_gif, monkeypatch):
        gif = make_gif(["red"] * 9)
        message = (
            r"is larger than .* MB, the limit\. Shorten .*raise --max-megabytes \(MediaLimits\.max_bytes\)"
        )
        data = gif.read_bytes()
        url = "data:image/gif;base64," + base64.b64encode(data).decode()
        for source in (gif, data, io.BytesIO(data), url):
            with pytest.raises(MediaTooLarge, match=message):
                load_media(source, SMALL)

    def test_endless_stream_is_read_no_further_than_the_limit(self):
        class Endless(io.RawIOBase):
            given = 0

            def read(self, size=-1):
                self.given += size
                return b"G" * size

        stream = Endless()
        with pytest.raises(MediaTooLarge, match="--max-megabytes"):
            load_media(stream, SMALL)
        assert stream.given == SMALL.max_bytes + 1

    def test_text_stream(self):
        with pytest.raises(UnsupportedMedia, match=r"opened as text.*'rb'"):
            load_media(io.StringIO("GIF89a"))

    @pytest.mark.parametrize(
        "url", ["file:///etc/passwd", "ftp://host/cat.gif", "gopher://host/x", "S3://b/k.gif"]
    )
    def test_other_url_schemes(self, url):
        with pytest.raises(UnsupportedMedia, match=r"is not read; http:// and https:// are"):
            load_media(url)

    def test_urls_where_they_are_switched_off(self):
        with pytest.raises(UnsupportedMedia, match=r"URLs is switched off.*allow_urls.*give a file"):
            load_media("https://example.org/cat.gif", MediaLimits(allow_urls=False))

    def test_broken_data_urls(self):
        with pytest.raises(UnsupportedMedia, match="no comma; it must be like data:image/gif;base64"):
            load_media("data:image/gif;base64")
        with pytest.raises(UnreadableMedia, match="not valid base64"):
            load_media("data:image/gif;base64,R0lGOD*h")
        with pytest.raises(UnreadableMedia, match="the data: URL is empty"):
            load_media("data:image/gif;base64,")

    @pytest.mark.parametrize("source", [None, 3, {"a": 1}, object()])
    def test_other_types(self, source):
        with pytest.raises(UnsupportedMedia, match=r"media of type \w+ cannot be read; give a path"):
            load_media(source)

    def test_empty_list(self):
        with pytest.raises(UnreadableMedia, match="the given list holds no frames; give at least one"):
            load_media([])

    @pytest.mark.parametrize(
        "array",
        [
            np.zeros((6, 8, 3), np.float32),
            np.zeros((3, 6, 8), np.uint8),
            np.zeros((6, 8), np.uint8),
            np.zeros((0, 8, 3), np.uint8),
            np.zeros((2, 6, 8, 4), np.uint8),
        ],
    )
    def test_arrays_of_another_shape_or_type(self, array):
        with pytest.raises(UnsupportedMedia, match=r"frame 0 is an array of shape .*uint8 RGB.*Convert it"):
            load_media(array)

    def test_list_of_something_else(self):
        with pytest.raises(UnsupportedMedia, match="frame 1 is of type str; frames are PIL images or"):
            load_media([np.zeros((6, 8, 3), np.uint8), "cat.gif"])
