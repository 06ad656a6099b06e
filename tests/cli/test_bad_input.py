"""Bad input through the command line: an exit code, one clear line, and nothing written or lost."""

import functools
import json
import os
import struct
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address

import pytest

pytestmark = pytest.mark.usefixtures("fake_models")


@pytest.fixture
def refused(gifqa, tmp_path):
    """`refused("one line with these", media, question)`: exit code 1, that line, no output and no picture."""

    def check(message, media, question="What is it?", *words):
        strip = tmp_path / "strip.png"
        outcome = gifqa("ask", media, question, "--evidence", strip, *words)
        assert (outcome.code, outcome.out) == (1, "")
        assert outcome.err.startswith("gifqa: ") and outcome.err.count("\n") == 1
        assert message in outcome.err
        assert len(outcome.err) < 400
        assert not strip.exists()

    return check


@pytest.fixture
def answered(gifqa):
    """`answered(media) -> dict`: the JSON of an answer."""

    def check(media, *words):
        outcome = gifqa("ask", media, "What is it?", "--json", *words)
        assert (outcome.code, outcome.err) == (0, "")
        return json.loads(outcome.out)

    return check


def test_missing_file(refused, tmp_path):
    refused("none.gif' does not exist; give a file", tmp_path / "none.gif")


def test_folder_without_images(refused, tmp_path):
    (tmp_path / "notes.txt").write_text("no image", encoding="utf-8")
    refused("holds no images", tmp_path)


def test_empty_file(refused, tmp_path):
    (tmp_path / "empty.gif").touch()
    refused("empty.gif is empty (0 bytes)", tmp_path / "empty.gif")


def test_text_called_gif(refused, tmp_path):
    (tmp_path / "text.gif").write_text("GIF of a cat\n" * 50, encoding="utf-8")
    refused("text.gif is a text; gifqa reads GIF", tmp_path / "text.gif")


def test_truncated_gif_is_answered_from_what_decodes(answered, make_gif):
    path = make_gif(["red", "green", "blue", "yellow"], size=(64, 48))
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 5 // 8])
    value = answered(path)

    assert 1 <= len(value["keyframes"]) < 4
    assert any("frames" in warning and any(map(str.isdigit, warning)) for warning in value["warnings"])


def test_gif_cut_behind_a_frame_says_how_many_there_are(answered, make_gif):
    """It said that frames may be missing, and not how many were there."""
    path = make_gif(["red", "green", "blue", "yellow"], size=(64, 48))
    data = path.read_bytes()
    path.write_bytes(data[: data.rindex(b"!\xf9")])

    assert answered(path)["warnings"] == [
        "the file ends before its end mark, after 3 frames; others may be missing",
        "4 keyframes were asked for; the GIF has only 3 distinct frames",
    ]


def test_gif_cut_before_its_first_frame(refused, make_gif):
    path = make_gif(["red"])
    path.write_bytes(path.read_bytes()[:40])
    refused("clip.gif", path)


def with_screen(path, width, height):
    data = path.read_bytes()
    path.write_bytes(data[:6] + struct.pack("<HH", width, height) + data[10:])
    return path


def test_screen_of_no_size_is_answered_from_the_frames_or_refused(gifqa, make_gif):
    outcome = gifqa("ask", with_screen(make_gif(["red"]), 0, 0), "What is it?", "--json")

    assert outcome.code in (0, 1)
    assert outcome.err.count("\n") == outcome.code
    assert outcome.code or json.loads(outcome.out)["answer"] == "red"


def test_screen_of_the_largest_size(refused, make_gif):
    refused("a side may have 8192", with_screen(make_gif(["red"]), 65535, 65535))


def test_a_hundred_thousand_frames(refused, raw_frame, raw_gif, tmp_path):
    frame = raw_gif([raw_frame(0, (1, 1))])
    head, rest = frame[: frame.index(b"!\xf9")], frame[frame.index(b"!\xf9") : -1]
    (tmp_path / "long.gif").write_bytes(head + rest * 100_000 + b";")
    refused(
        "has more than 4096 frames, the limit. Shorten it, or raise --max-frames-scanned",
        tmp_path / "long.gif",
    )


def test_decompression_bomb(refused, raw_frame, raw_gif, tmp_path):
    """A few kilobytes that claim 1.6 gigapixels; the refusal comes before any of them is decoded."""
    frame = raw_frame(0, (4000, 4000), image_data=b"\x08\x01\x00\x00")
    (tmp_path / "bomb.gif").write_bytes(raw_gif([frame] * 100))
    assert (tmp_path / "bomb.gif").stat().st_size < 10_000
    refused("megapixels to decode (width x height x frames); the limit is 300", tmp_path / "bomb.gif")


def test_frames_without_a_duration(answered, make_gif):
    value = answered(make_gif(["red", "green"], 0))

    assert [row["pts_seconds"] for row in value["keyframes"]] == [0.0, 0.1]


def test_one_frame(answered, make_gif):
    value = answered(make_gif(["red"]))

    assert (value["answer"], value["warnings"], len(value["keyframes"])) == ("red", [], 1)


@pytest.fixture
def site(monkeypatch):
    """Pages on this machine, as if it were public; the address of every other one stays private."""
    from gifqa import url_policy

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            if self.path == "/private":
                self.send_response(302)
                self.send_header("Location", "http://10.0.0.1/cat.gif")
                self.end_headers()
                return
            self.send_response(404 if self.path == "/none.gif" else 200)
            self.end_headers()
            if self.path == "/page":
                self.wfile.write(b"<!DOCTYPE html><title>cats</title>")
            if self.path == "/large.gif":
                self.wfile.write(b"GIF89a" + b"x" * 2**20)
            if self.path == "/slow.gif":
                stopped.wait(5)

        def log_message(self, *_):
            pass

    stopped = threading.Event()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    here = ip_address("127.0.0.1")
    fetch = functools.partial(url_policy.fetch_url, is_allowed=lambda address: address == here)
    monkeypatch.setattr(url_policy, "fetch_url", fetch)
    yield f"http://127.0.0.1:{server.server_port}"
    stopped.set()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(
    ("page", "message", "words"),
    [
        ("/none.gif", "answers with HTTP status 404", []),
        ("/large.gif", "larger than 0.5 MB, the limit", ["--max-megabytes", "0.5"]),
        ("/slow.gif", "0.3", ["--max-url-seconds", "0.3"]),
        ("/page", "is a web page; gifqa reads GIF", []),
        ("/private", "10.0.0.1", []),
        ("/page", "switched off", ["--no-urls"]),
    ],
)
def test_urls(refused, site, page, message, words):
    refused(message, site + page, "What is it?", *words)


def test_url_of_a_private_address(refused):
    refused("127.0.0.1", "http://127.0.0.1:1/cat.gif")


def test_url_of_another_scheme(refused):
    refused("the URL scheme ftp://", "ftp://host/cat.gif")


@pytest.mark.parametrize("question", ["", "  ", "\x00"])
def test_empty_question(refused, make_gif, question):
    refused("the question is empty; it needs at least one word. Ask", make_gif(["red"]), question)


def test_question_of_ten_thousand_characters(refused, make_gif):
    refused("the question has 10,000 characters; at most 2,000 are allowed", make_gif(["red"]), "x" * 10_000)


def test_question_in_another_language(gifqa, make_gif):
    outcome = gifqa("ask", make_gif(["red"]), "猫は何をしていますか", "--json")

    assert (outcome.code, json.loads(outcome.out)["answer"]) == (0, "red")


def test_control_characters_do_not_reach_the_terminal(gifqa, make_gif):
    outcome = gifqa("ask", make_gif(["red"]), "What\x07 is\x1b[31m it?")

    assert (outcome.code, outcome.out.splitlines()[0]) == (0, "red")
    assert outcome.err == "warning: 2 control characters taken out of the question\n"


def test_unknown_model(gifqa, make_gif, monkeypatch):
    monkeypatch.undo()
    outcome = gifqa("ask", make_gif(["red"]), "What?", "--model", "gpt")

    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.err.startswith("gifqa: 'gpt' is no model and no folder; a model is 'lite'")
    assert outcome.err.count("\n") == 1


def test_cache_folder_that_cannot_be_used(gifqa, make_gif, monkeypatch, tmp_path):
    """A file where the folder should be fails for root, too, unlike a folder without write permission."""
    (tmp_path / "taken").touch()
    monkeypatch.setenv("GIFQA_CACHE_DIR", os.fspath(tmp_path / "taken"))
    outcome = gifqa("ask", make_gif(["red"]), "What is it?", "--json")

    assert (outcome.code, json.loads(outcome.out)["answer"]) == (0, "red")
    assert (tmp_path / "taken").read_bytes() == b""


def test_full_disk(gifqa, make_gif, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("gifqa.retrieval.cache.np.savez", full)
    outcome = gifqa("ask", make_gif(["red"]), "What is it?", "--json")

    assert (outcome.code, json.loads(outcome.out)["answer"]) == (0, "red")


def test_ctrl_c(gifqa, make_gif, fake_models, tmp_path):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    fake_models.answer = interrupted
    outcome = gifqa("ask", make_gif(["red"]), "What is it?", "--evidence", tmp_path / "strip.png")

    assert (outcome.code, outcome.out) == (130, "")
    assert not (tmp_path / "strip.png").exists()
