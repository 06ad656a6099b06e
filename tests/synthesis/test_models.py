"""Generators that ask models: tiny random checkpoints, stand-ins, and a server that misbehaves."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from gifqa.errors import CheckpointError, ConfigError
from gifqa.synthesis.config import SynthesisConfig
from gifqa.synthesis.lm import (
    BundleLanguageModel,
    LanguageModelGenerator,
    asked_candidates,
    load_judge,
    question_prompt,
    tidy_question,
)
from gifqa.synthesis.remote import KEY_VARIABLE, Meter, RemoteGenerator, make_remote_generator

CAPTION = "A man is riding a horse on the beach."


class Scripted:
    """A language model that answers from a table and remembers what it was asked."""

    def __init__(self, reply):
        self.reply = reply
        self.asked = []

    def complete(self, prompts, banned):
        self.asked += list(zip(prompts, banned, strict=True))
        return [self.reply(ban) for ban in banned]


def test_the_model_is_asked_for_each_candidate_and_told_what_not_to_say(parse_gif):
    model = Scripted(
        lambda ban: " is the man riding?\nCaption: next" if ban == "horse" else " no question here"
    )
    (drafts,) = LanguageModelGenerator("lm:scripted", model).drafts(parse_gif(CAPTION), 0)
    assert {d.question: d.answer for d in drafts} == {"What is the man riding?": "horse"}
    assert {ban for _, ban in model.asked} == {"man", "horse", "beach", "riding a horse", "on the beach"}


def test_the_prompt_ends_in_the_word_that_the_answer_asks_for(parse_gif):
    candidates = {c.answer: c for c in asked_candidates(parse_gif(CAPTION)[0])}
    assert question_prompt(CAPTION, candidates["man"]).endswith(
        f"Caption: {CAPTION}\nAnswer: man\nQuestion: Who"
    )
    assert question_prompt(CAPTION, candidates["on the beach"]).endswith("Question: Where")


@pytest.mark.parametrize(
    ("text", "question"),
    [
        (" Who is it? And more", "Who is it?"),
        ("Who\nis it?", ""),
        ("no mark", ""),
        ("?", ""),
        ("  What   is\tit ?", "What is it?"),
    ],
)
def test_only_a_question_is_taken(text, question):
    assert tidy_question(text) == question


class FakeRuntime:
    """A bundle's language model that proposes the same lines for every prompt, one a beam."""

    lines = ("a horse there?", "the man riding?\nCaption:")

    @property
    def tokenizer(self):
        return self

    @property
    def decoder(self):
        return self

    def encode(self, prompt):
        self.prompt = prompt
        return type("Encoding", (), {"ids": [1, 2]})

    def decode(self, tokens):
        return self.lines[tokens[0]]

    def embed(self, tokens):
        return tokens

    def read(self, embeds):
        return embeds

    def search(self, prefix, num_beams, max_new_tokens):
        return [type("Continuation", (), {"tokens": (i,)}) for i in range(min(num_beams, 2))]


def test_the_shipped_model_takes_the_first_beam_without_the_answer():
    model = BundleLanguageModel(FakeRuntime())
    assert model.complete(["p", "p", "p"], ["horse", "", "man"]) == [
        "the man riding?",
        "a horse there?",
        "a horse there?",
    ]
    assert model.complete(["p"], ["there"]) == ["the man riding?"]
    model.runtime.lines = ("a horse?", "the horse?")
    assert model.complete(["p"], ["horse"]) == [""]


@pytest.fixture(scope="module")
def tiny_tokenizer(tmp_path_factory):
    """Words of the tests as tokens, and what transformers needs around them."""
    transformers = pytest.importorskip("transformers")
    tokenizers = pytest.importorskip("tokenizers")
    prompt = question_prompt(CAPTION, FakeCandidate())
    words = f"{prompt} horse ? What is the man riding Who answer : context".split()
    vocabulary = {word: i for i, word in enumerate(dict.fromkeys(["<pad>", "</s>", "<unk>", *words]))}
    model = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token="<unk>"))
    model.pre_tokenizer = tokenizers.pre_tokenizers.WhitespaceSplit()
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=model, pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    )


class FakeCandidate:
    answer, answer_type = "horse", "animal"


@pytest.fixture(scope="module")
def causal_folder(tmp_path_factory, tiny_tokenizer):
    transformers, torch = pytest.importorskip("transformers"), pytest.importorskip("torch")
    torch.manual_seed(0)
    config = transformers.GPT2Config(
        vocab_size=len(tiny_tokenizer),
        n_positions=512,
        n_embd=16,
        n_layer=1,
        n_head=2,
        bos_token_id=1,
        eos_token_id=1,
    )
    folder = tmp_path_factory.mktemp("causal")
    transformers.GPT2LMHeadModel(config).save_pretrained(folder)
    tiny_tokenizer.save_pretrained(folder)
    return folder


def test_a_causal_model_never_says_a_banned_word(causal_folder):
    generator = LanguageModelGenerator.load(str(causal_folder))
    assert generator.name == f"lm:{causal_folder.name}"
    said = generator.completer.complete(["Question: What is the man"] * 2, ["", ""])
    assert said[0] == said[1] and said[0], "greedy decoding gives one text"
    word = said[0].split()[0]
    banned, free = generator.completer.complete(["Question: What is the man"] * 2, [word, ""])
    assert word not in banned.split()
    assert free == said[0], "what is banned in one row is allowed in the next"


def test_perplexity_is_that_of_the_model(causal_folder):
    import math

    import torch

    judge = load_judge(str(causal_folder))
    model, tokenizer = judge_parts(causal_folder)
    ids = tokenizer("What is the man riding ?", return_tensors="pt")["input_ids"]
    with torch.inference_mode():
        scores = torch.log_softmax(model(ids).logits[0, :-1], dim=-1)
    expected = math.exp(-float(scores.gather(1, ids[0, 1:, None]).mean()))
    assert judge.perplexities(["What is the man riding ?"]) == [pytest.approx(expected, rel=1e-4)]
    assert judge.perplexities(["What"]) == [math.inf]


def judge_parts(folder):
    import transformers

    model = transformers.AutoModelForCausalLM.from_pretrained(folder).eval()
    return model, transformers.AutoTokenizer.from_pretrained(folder)


def test_a_sequence_to_sequence_model_gives_the_same_one_by_one_and_batched(
    tmp_path, tiny_tokenizer, parse_gif
):
    transformers, torch = pytest.importorskip("transformers"), pytest.importorskip("torch")
    from dataclasses import replace

    from gifqa.synthesis.seq2seq import Seq2SeqGenerator

    torch.manual_seed(0)
    config = transformers.T5Config(
        vocab_size=len(tiny_tokenizer), d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2,
        decoder_start_token_id=0, pad_token_id=0, eos_token_id=1,
    )  # fmt: skip
    transformers.T5ForConditionalGeneration(config).save_pretrained(tmp_path / "t5")
    tiny_tokenizer.save_pretrained(tmp_path / "t5")
    generator = Seq2SeqGenerator.load(str(tmp_path / "t5"))
    assert generator.name == "t5:t5"
    prompts = [f"answer: {c.answer} context: {CAPTION}" for c in asked_candidates(parse_gif(CAPTION)[0])]
    batched = generator.write(prompts)
    assert batched == replace(generator, batch_size=1).write(prompts)
    assert len(batched) == len(prompts)


@pytest.mark.parametrize("kind", ["lm", "t5"])
def test_a_model_that_is_none_says_so(tmp_path, kind):
    pytest.importorskip("transformers")
    from gifqa.synthesis.generators import make_generator

    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(CheckpointError, match=r"cannot be loaded as a .* model .* --model"):
        make_generator(SynthesisConfig(generator=kind, model=str(tmp_path)))


class Server:
    """An OpenAI-compatible server that does what its script says, request by request."""

    def __init__(self, script):
        self.script, self.requests, self.headers = list(script), [], []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                outer.requests.append(body)
                outer.headers.append(dict(self.headers))
                status, data = outer.script.pop(0) if len(outer.script) > 1 else outer.script[0]
                if status is None:
                    self.connection.close()
                    return
                self.send_response(status)
                self.send_header("retry-after", "0")
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_):
                pass

            def handle_one_request(self):
                try:
                    super().handle_one_request()
                except (OSError, ValueError):
                    self.close_connection = True

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()


@pytest.fixture
def serve():
    servers = []

    def start(*script):
        servers.append(Server(script))
        return servers[-1]

    yield start
    for server in servers:
        server.server.shutdown()
        server.server.server_close()


def reply(*pairs, tokens=100):
    questions = [{"answer": a, "question": q} for a, q in pairs]
    content = json.dumps({"questions": questions})
    body = {"choices": [{"message": {"content": content}}], "usage": {"total_tokens": tokens}}
    return 200, json.dumps(body).encode()


def remote(server, **options):
    meter = Meter(options.pop("price", 0.0), options.pop("max_cost", None))
    return RemoteGenerator(server.url, "m", meter, first_wait_seconds=0.0, **options)


GOOD = reply(("horse", "What is the man riding?"), ("cow", "What is it?"), ("man", "no question"))


def asked(generator, parse_gif):
    (drafts,) = generator.drafts(parse_gif(CAPTION), 0)
    return {draft.question: draft.answer for draft in drafts}


def test_a_server_is_asked_once_a_caption_with_a_schema(serve, parse_gif, monkeypatch):
    monkeypatch.setenv(KEY_VARIABLE, "secret")
    server = serve(GOOD)
    generator = remote(server, price=2.0)
    assert asked(generator, parse_gif) == {"What is the man riding?": "horse"}
    (body,) = server.requests
    assert body["response_format"]["type"] == "json_schema"
    assert json.loads(body["messages"][1]["content"])["caption"] == CAPTION
    assert server.headers[0]["Authorization"] == "Bearer secret"
    assert generator.meter.cost == pytest.approx(100 * 2.0 / 1e6)


@pytest.mark.parametrize(
    "trouble",
    [
        (429, b"slow down"),
        (500, b"oops"),
        (None, b""),
        (200, b"<html>not json"),
        (200, b'{"choices": []}'),
        (200, b'{"choices": [{"message": {"content": "Sure! Here they are."}}]}'),
        (200, b'{"choices": [{"message": {"content": "{\\"questions\\": 3}"}}]}'),
    ],
    ids=["429", "500", "nothing", "garbage", "no-choice", "chatter", "shape"],
)
def test_trouble_is_tried_again(serve, parse_gif, trouble):
    server = serve(trouble, trouble, GOOD)
    assert asked(remote(server), parse_gif) == {"What is the man riding?": "horse"}
    assert len(server.requests) == 3


def test_garbage_without_end_costs_the_caption_only(serve, parse_gif):
    server = serve((200, b"garbage"))
    assert asked(remote(server), parse_gif) == {}
    assert len(server.requests) == 5


@pytest.mark.parametrize(("status", "said"), [(429, "status 429"), (None, "")])
def test_a_server_that_never_serves_ends_the_run_with_what_to_do(serve, parse_gif, status, said):
    with pytest.raises(CheckpointError, match=rf"did not serve after 5 attempts \(.*{said}.*--resume"):
        asked(remote(serve((status, b""))), parse_gif)


def test_a_refusal_is_not_tried_again(serve, parse_gif):
    server = serve((401, b"bad key"))
    with pytest.raises(CheckpointError, match=r"refused with status 401 \(bad key\); 200 is needed. Check"):
        asked(remote(server), parse_gif)
    assert len(server.requests) == 1


def test_the_cost_is_capped(serve, parse_gif):
    server = serve(reply(("horse", "What is the man riding?"), tokens=600_000))
    generator = remote(server, price=1.0, max_cost=1.0)
    assert asked(generator, parse_gif) and asked(generator, parse_gif)
    with pytest.raises(ConfigError, match=r"have cost 1.20; --max-cost is 1.00. .* --resume"):
        asked(generator, parse_gif)
    assert len(server.requests) == 2


def test_a_server_without_a_model_is_refused():
    with pytest.raises(ConfigError, match=r"names no server and model; .*HOST/v1#MODEL"):
        make_remote_generator(SynthesisConfig(generator="remote", model="http://localhost/v1"))
