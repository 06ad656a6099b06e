"""An OpenAI-compatible server on this machine, played by the test, and every way it can fail."""

import base64
import io
import json
import math
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from PIL import Image

from gifqa import GifQA
from gifqa.answering.base import Turn
from gifqa.answering.remote import RemoteAnswerer
from gifqa.errors import CheckpointError
from gifqa.retrieval.clip_cut import Keyframes


def completion(text, tokens=None):
    choice = {"message": {"role": "assistant", "content": text}}
    if tokens is not None:
        choice["logprobs"] = {"content": tokens}
    return {"choices": [choice]}


class Server:
    """Answers each request with the next of `replies`, the last one again and again; keeps the requests."""

    def __init__(self):
        self.replies = [completion("a cat")]
        self.requests = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                server.requests.append((self.path, dict(self.headers), json.loads(body)))
                reply = server.replies.pop(0) if len(server.replies) > 1 else server.replies[0]
                status, headers, data = reply if isinstance(reply, tuple) else (200, {}, reply)
                data = data if isinstance(data, bytes) else json.dumps(data).encode()
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(data))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}/v1"
        self.thread = threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()

    def close(self):
        self.http.shutdown()
        self.thread.join()
        self.http.server_close()


@pytest.fixture
def server():
    running = Server()
    yield running
    running.close()


@pytest.fixture(autouse=True)
def no_key(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


@pytest.fixture
def answerer(server):
    return RemoteAnswerer(server.url, "vlm", first_wait_seconds=0.001)


KEYFRAMES = Keyframes(np.array([0, 3]), np.array([0.0, 0.3]), np.array([0.1, 0.2], np.float32), None, 9, 0.9)
PIXELS = np.zeros((2, 12, 16, 3), np.uint8)
PIXELS[1, ..., 0] = 255


def ask(answerer, question="What is it?", **settings):
    return answerer.answer(KEYFRAMES, question, pixels=PIXELS, **settings)


def test_the_request_has_frames_times_and_question(server, answerer):
    reply = ask(answerer)
    path, headers, body = server.requests[0]

    assert (reply.text, reply.confidence, reply.alternatives) == ("a cat", None, ())
    assert path == "/v1/chat/completions"
    assert "Authorization" not in headers
    assert (body["model"], body["temperature"]) == ("vlm", 0)
    (message,) = body["messages"]
    texts = [part["text"] for part in message["content"] if part["type"] == "text"]
    assert texts[1:3] == ["Frame at 0.00 s:", "Frame at 0.30 s:"]
    assert texts[-1].startswith("What is it?")


def test_frames_are_sent_as_pictures_with_their_colours(server, answerer):
    ask(answerer)
    content = server.requests[0][2]["messages"][0]["content"]
    urls = [part["image_url"]["url"] for part in content if part["type"] == "image_url"]

    colours = []
    for url in urls:
        head, _, data = url.partition(",")
        assert head == "data:image/jpeg;base64"
        image = Image.open(io.BytesIO(base64.b64decode(data)))
        assert image.size == (16, 12)
        colours.append(np.asarray(image).mean(axis=(0, 1)).round(-1).tolist())
    assert colours == [[0, 0, 0], [250, 0, 0]]


def test_large_frames_are_shrunk(server, answerer):
    answerer.answer(KEYFRAMES, "What?", pixels=np.zeros((2, 500, 1600, 3), np.uint8))
    content = server.requests[0][2]["messages"][0]["content"]
    url = next(part["image_url"]["url"] for part in content if part["type"] == "image_url")

    assert Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))).size == (768, 240)


def test_the_key_of_the_environment_is_sent(server, answerer, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    ask(answerer)

    assert server.requests[0][1]["Authorization"] == "Bearer secret"


def test_a_dialogue_is_sent_as_one(server, answerer):
    ask(answerer, "And its colour?", history=[Turn("What is it?", "a cat")])
    messages = server.requests[0][2]["messages"]

    assert [message["role"] for message in messages] == ["user", "assistant", "user"]
    assert messages[1]["content"] == "a cat"
    assert messages[2]["content"].startswith("And its colour?")


def test_confidence_is_the_geometric_mean_of_the_tokens(server, answerer):
    tokens = [{"token": "a", "logprob": math.log(0.5)}, {"token": " cat", "logprob": math.log(0.125)}]
    server.replies = [completion("a cat", tokens)]

    assert ask(answerer).confidence == pytest.approx(0.25)


def test_options_share_the_probabilities_of_their_letters(server, answerer):
    top = [("B", 0.6), (" b", 0.1), ("A", 0.1), ("The", 0.1)]
    token = {
        "token": "B",
        "logprob": math.log(0.6),
        "top_logprobs": [{"token": name, "logprob": math.log(share)} for name, share in top],
    }
    server.replies = [completion("B", [token])]
    reply = ask(answerer, options=["cat", "dog", "horse"])

    assert reply.text == "dog"
    assert reply.confidence == pytest.approx(0.7 / 0.8)
    assert [(other.answer, pytest.approx(other.confidence)) for other in reply.alternatives] == [
        ("cat", 0.1 / 0.8),
        ("horse", 0.0),
    ]
    text = server.requests[0][2]["messages"][0]["content"][-1]["text"]
    assert "A. cat\nB. dog\nC. horse\nAnswer with A to C" in text


@pytest.mark.parametrize(
    ("text", "option"),
    [
        ("B", "a dog"),
        ("(b)", "a dog"),
        ("B. a dog", "a dog"),
        ("**B**", "a dog"),
        ("A dog.", "a dog"),
        ("It is a dog", "a dog"),
        ("The answer is B", "a dog"),
        ("Answer: A", "a cat"),
    ],
)
def test_an_option_is_found_by_letter_or_by_words(server, answerer, text, option):
    server.replies = [completion(text)]
    reply = ask(answerer, options=["a cat", "a dog"])

    assert (reply.text, reply.confidence) == (option, None)


def test_more_options_than_letters_are_numbered(server, answerer):
    server.replies = [completion("27")]

    assert ask(answerer, options=[f"thing {i}" for i in range(30)]).text == "thing 26"


def test_a_reply_that_names_no_option_is_an_error(server, answerer):
    server.replies = [completion("I cannot tell a cat from a dog")]
    with pytest.raises(CheckpointError, match=r"answered 'I cannot .*it must name one of the 2 options. Ask"):
        ask(answerer, options=["a cat", "a dog"])


def test_describe_asks_for_a_sentence(server, answerer):
    server.replies = [completion("A cat walks.")]

    assert answerer.describe(KEYFRAMES, pixels=PIXELS).text == "A cat walks."
    assert "one sentence" in server.requests[0][2]["messages"][0]["content"][-1]["text"]


def test_a_server_that_refuses_probabilities_is_asked_without_them_from_then_on(server, answerer):
    server.replies = [(400, {}, b"logprobs not supported"), completion("a cat"), completion("a dog")]

    assert [ask(answerer).text, ask(answerer).text] == ["a cat", "a dog"]
    assert ["logprobs" in body for _, _, body in server.requests] == [True, False, False]


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_busy_servers_are_asked_again(server, answerer, status):
    server.replies = [(status, {}, b"busy"), (status, {"Retry-After": "0"}, b"busy"), completion("a cat")]

    assert ask(answerer).text == "a cat"
    assert len(server.requests) == 3


def test_a_server_that_stays_busy_is_an_error_after_four_attempts(server, answerer):
    server.replies = [(503, {}, b"over\nloaded")]
    with pytest.raises(CheckpointError, match=r"vlm at 127.* refused with status 503 \(over loaded\); 200"):
        ask(answerer)
    assert len(server.requests) == 4


@pytest.mark.parametrize("status", [401, 404, 301, 204])
def test_other_statuses_are_errors_at_once(server, answerer, status):
    server.replies = [(status, {"Location": "http://127.0.0.1:1/"}, b"")]
    with pytest.raises(
        CheckpointError, match=f"refused with status {status} .*Check the URL, the model's name"
    ):
        ask(answerer)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "garbage",
    [
        b"<html>It works!</html>",
        b"",
        b"[]",
        b"\xff\xfe",
        b'"text"',
        b"[" * 100_000,
        {"choices": []},
        {"choices": [{"text": "a cat"}]},
        {"choices": [{"message": None}]},
        {"error": "out of memory"},
        completion("a cat", [{"token": "a"}]),
        completion("a cat", [{"token": "a", "logprob": "high"}]),
    ],
)
def test_garbage_is_an_error_of_one_line(server, answerer, garbage):
    server.replies = [(200, {}, garbage)]
    with pytest.raises(
        CheckpointError, match=r"is no chat completion .*must be OpenAI-compatible. Check"
    ) as caught:
        ask(answerer)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 500


@pytest.mark.parametrize("content", [None, "", " \n", [], "<think>hm"])
def test_a_reply_without_text_is_an_error(server, answerer, content):
    server.replies = [completion(content)]
    with pytest.raises(
        CheckpointError, match=r"sent a reply without text; an answer is text. Check the model"
    ):
        ask(answerer)


def test_probabilities_that_are_not_numbers_are_left_out(server, answerer):
    server.replies = [completion("a cat", [{"token": "a", "logprob": math.nan}])]

    assert ask(answerer).confidence is None


def test_an_endless_reply_is_cut_off(server, answerer):
    server.replies = [(200, {}, b"x" * (5 * 2**20))]
    with pytest.raises(CheckpointError, match=r"sent over 4 MiB; a reply is shorter. Check the URL"):
        ask(answerer)


def test_nobody_listening_is_an_error():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/v1"
        with pytest.raises(CheckpointError, match=r"cannot be reached after 4 attempts .*Start it, or check"):
            ask(RemoteAnswerer(url, "vlm", first_wait_seconds=0.001))


def test_a_silent_server_is_an_error():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/v1"
        with pytest.raises(
            CheckpointError, match=r"did not answer in time; 0.2 s are allowed. Try again later"
        ):
            ask(RemoteAnswerer(url, "vlm", timeout_seconds=0.2))


def test_pixels_are_required(answerer):
    with pytest.raises(
        ValueError, match=r"pixels is None; this answerer reads the frames' pixels. Give them"
    ):
        answerer.answer(KEYFRAMES, "What?")


def test_the_whole_line_with_a_remote_model(server, colour_embedder, make_gif):
    server.replies = [completion("green")]
    qa = GifQA(f"{server.url}#vlm", encoder=colour_embedder)
    answer = qa.ask(make_gif(["red", "green", "blue"]), "Is it green?", top_k=1)

    assert answer.text == "green"
    assert answer.model.startswith("vlm at 127.0.0.1:")
    content = server.requests[0][2]["messages"][0]["content"]
    (url,) = [part["image_url"]["url"] for part in content if part["type"] == "image_url"]
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))))
    assert pixels.mean(axis=(0, 1)).argmax() == 1


def test_a_question_about_a_text_is_sent_without_pictures(server, answerer):
    server.replies = [completion("red"), completion("B")]
    history = [Turn("What is it?", "a screen")]
    reply = answerer.answer_from_text("0.00 s: a red screen", "What colour?", history=history)
    chosen = answerer.answer_from_text("0.00 s: a red screen", "What colour?", options=["blue", "red"])

    assert (reply.text, chosen.text) == ("red", "red")
    first, second = (body["messages"] for _, _, body in server.requests)
    assert first[0]["content"] == "0.00 s: a red screen\nWhat is it?"
    assert first[-1]["content"].startswith("What colour?")
    assert "A. blue\nB. red" in second[0]["content"]
