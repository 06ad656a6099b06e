"""The shipped model's decoder on text alone, as a model of six tokens whose probabilities are known."""

import math
from types import SimpleNamespace

import numpy as np
import pytest

from gifqa.answering.lite_text import answer_from_text
from gifqa.prompt import text_prompt

TOKENS = ("<eos>", "yes", "no", "red", "blue", "the")


class WordTokenizer:
    """One token a word; unknown words have none."""

    def __init__(self):
        self.read = []

    def encode(self, text):
        self.read.append(text)
        return SimpleNamespace(ids=[TOKENS.index(word) for word in text.split() if word in TOKENS])

    def encode_batch(self, texts):
        return [self.encode(text) for text in texts]

    def decode(self, tokens):
        return " " + " ".join(TOKENS[token] for token in tokens)


@pytest.fixture
def runtime(decoder_of, history_model):
    return SimpleNamespace(decoder=decoder_of(history_model), tokenizer=WordTokenizer())


def test_options_share_their_likelihood_after_the_text_and_the_question(runtime, history_model):
    reply = answer_from_text(runtime, "the red", "is it blue", options=["Red.", "no", "blue"])

    assert runtime.tokenizer.read[0] == text_prompt("the red", "is it blue")
    prompt = [TOKENS.index(word) for word in ("the", "red", "blue")]
    likelihoods = [
        history_model.log_likelihood(prompt, [TOKENS.index(word)]) for word in ("red", "no", "blue")
    ]
    shares = dict(zip(["Red.", "no", "blue"], np.exp(likelihoods) / np.exp(likelihoods).sum(), strict=True))
    found = {reply.text: reply.confidence} | {other.answer: other.confidence for other in reply.alternatives}
    assert found == {option: pytest.approx(share, rel=1e-4) for option, share in shares.items()}
    assert reply.confidence == max(found.values())


def test_a_question_for_yes_or_no_gets_one_of_them(runtime):
    reply = answer_from_text(runtime, "the red", "Is it blue?")

    assert {reply.text, *(other.answer for other in reply.alternatives)} == {"yes", "no"}


def test_an_open_answer_is_the_decoder_s_own_and_plain(decoder_of, markov_model):
    # after "the" comes "red", after "red" the end; any other answer is rare
    table = np.full((6, 6), 0.02)
    for token, following in ((5, 3), (3, 0), (1, 0), (2, 0), (4, 0), (0, 5)):
        table[token, following] = 0.9
    runtime = SimpleNamespace(decoder=decoder_of(markov_model(table)), tokenizer=WordTokenizer())
    reply = answer_from_text(runtime, "<eos>", "What?")

    assert reply.text == "red"
    assert reply.confidence == pytest.approx(math.exp(math.log(0.9)), rel=1e-3)
    assert "red" not in {other.answer for other in reply.alternatives}
    assert all(other.confidence <= reply.confidence for other in reply.alternatives)
