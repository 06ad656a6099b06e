"""The judge's protocol on a stand-in and on a small server: caching, repeats, nonsense, failures."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from gifqa.errors import CheckpointError, ConfigError
from gifqa.evaluation.judge import (
    MAX_TRIES,
    Exchange,
    RemoteJudge,
    judge_answers,
    make_judge,
    parse_verdict,
)
from gifqa.evaluation.predictions import Prediction
from gifqa.evaluation.questions import Question


class ScriptedJudge:
    """Gives the replies of a list, over and over."""

    name = "scripted"

    def __init__(self, *replies):
        self.replies = replies
        self.asked = []

    def ask(self, system, user):
        self.asked.append(user)
        return Exchange(self.replies[(len(self.asked) - 1) % len(self.replies)], "scripted-0613", 10)


def predictions(*texts):
    return [
        Prediction(Question(f"q{n}", "open", "What is it?", ("a cat",), (f"g{n}",)), text)
        for n, text in enumerate(texts)
    ]


YES, NO = "{'pred': 'yes', 'score': 4}", "{'pred': 'no', 'score': 1}"


def test_scores_agreement_and_cost_are_reported(tmp_path):
    judgement = judge_answers(ScriptedJudge(YES, NO), predictions("cat", "dog"), tmp_path / "j", repeats=2)
    assert judgement.accuracy.value == 0.5
    assert judgement.score.value == pytest.approx(2.5)
    assert judgement.agreement == 0.0
    assert judgement.tokens == 40
    assert judgement.models == ("scripted-0613",)
    assert json.loads(json.dumps(judgement.to_dict()))["accuracy"]["value"] == 0.5


def test_verdicts_are_asked_for_once_and_kept(tmp_path):
    judge = ScriptedJudge(YES)
    first = judge_answers(judge, predictions("cat", "dog"), tmp_path / "j")
    again = judge_answers(judge, predictions("cat", "dog"), tmp_path / "j")
    assert len(judge.asked) == 2
    assert first == again
    judge_answers(judge, predictions("cat", "another dog"), tmp_path / "j")
    assert len(judge.asked) == 3


def test_a_verdict_that_a_stop_cut_off_is_asked_for_again(tmp_path):
    judge = ScriptedJudge(YES)
    judge_answers(judge, predictions("cat"), tmp_path / "j")
    (tmp_path / "j").write_text((tmp_path / "j").read_text(encoding="utf-8")[:-20], encoding="utf-8")
    judge_answers(judge, predictions("cat"), tmp_path / "j")
    assert len(judge.asked) == 2


def test_nonsense_is_asked_again_and_then_counts_as_no(tmp_path):
    judge = ScriptedJudge("I like cats.")
    judgement = judge_answers(judge, predictions("cat"), tmp_path / "j")
    assert len(judge.asked) == MAX_TRIES
    assert (judgement.unusable, judgement.accuracy.value, judgement.tokens) == (1, 0.0, 10 * MAX_TRIES)
    assert judge_answers(ScriptedJudge("hm", YES), predictions("dog"), tmp_path / "j").unusable == 0


@pytest.mark.parametrize(
    ("reply", "verdict"),
    [
        (YES, (True, 4.0)),
        ("Sure! {'pred': 'No', 'score': 0} Anything else?", (False, 0.0)),
        ('{"pred": "yes", "score": 4.8}', (True, 4.8)),
        ("{'pred': 'maybe', 'score': 3}", None),
        ("{'pred': 'yes', 'score': 9}", None),
        ("{'pred': 'yes'}", None),
        ("{'pred': __import__('os').system('true'), 'score': 3}", None),
        ("yes", None),
        ("{}", None),
        ("", None),
    ],
)
def test_only_the_dictionary_counts(reply, verdict):
    assert parse_verdict(reply) == verdict


def test_the_prompt_has_question_reference_and_answer(tmp_path):
    judge = ScriptedJudge(YES)
    judge_answers(judge, predictions("a {curly} dog"), tmp_path / "j")
    assert "Question: What is it?\nCorrect Answer: a cat\nPredicted Answer: a {curly} dog" in judge.asked[0]
    assert "{'pred': 'yes', 'score': 4.8}" in judge.asked[0]


def test_captions_are_not_judged(tmp_path):
    caption = Prediction(Question("c", "caption", "", ("a cat",), ("g",)), "a dog")
    with pytest.raises(ConfigError, match="given for captions or retrieval; it judges answers"):
        judge_answers(ScriptedJudge(YES), [caption], tmp_path / "j")


@pytest.fixture
def server():
    """An OpenAI-compatible server that answers with what `.reply` holds and keeps the requests."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            self.server.requests.append((self.path, self.headers.get("Authorization"), body))
            status, value = self.server.reply
            data = json.dumps(value).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_):
            pass

    listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    listening.requests = []
    thread = threading.Thread(target=listening.serve_forever, args=(0.02,))
    thread.start()
    yield listening
    listening.shutdown()
    listening.server_close()
    thread.join()


def test_the_server_is_asked_in_the_protocol_of_openai(server, tmp_path):
    server.reply = (
        200,
        {"model": "gpt-x-0613", "choices": [{"message": {"content": YES}}], "usage": {"total_tokens": 7}},
    )
    url = f"http://127.0.0.1:{server.server_port}/v1"
    with RemoteJudge(url, "gpt-x", "secret") as judge:
        judgement = judge_answers(judge, predictions("cat"), tmp_path / "j")
    path, key, body = server.requests[0]
    assert (path, key) == ("/v1/chat/completions", "Bearer secret")
    assert (body["model"], body["temperature"]) == ("gpt-x", 0)
    assert [message["role"] for message in body["messages"]] == ["system", "user"]
    assert (judgement.models, judgement.tokens) == (("gpt-x-0613",), 7)


def test_a_server_that_refuses_or_speaks_otherwise_is_an_error(server, tmp_path):
    with make_judge(f"http://127.0.0.1:{server.server_port}/v1#gpt-x") as judge:
        server.reply = (500, {})
        with pytest.raises(
            CheckpointError, match=r"judge gpt-x at .* does not answer.*verdicts so far are kept"
        ):
            judge_answers(judge, predictions("cat"), tmp_path / "j")
        server.reply = (200, {"hello": "world"})
        with pytest.raises(CheckpointError, match=r"sent no chat completion.*ends in /v1"):
            judge_answers(judge, predictions("cat"), tmp_path / "j")


@pytest.mark.parametrize("address", ["localhost/v1#m", "http://localhost/v1", "gpt-4"])
def test_an_address_without_scheme_or_model_is_an_error(address):
    with pytest.raises(ConfigError, match=r"it is written http\(s\)://HOST/v1#MODEL"):
        make_judge(address)
