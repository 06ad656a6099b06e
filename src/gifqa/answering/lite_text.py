"""The shipped model's decoder by itself: questions about a text, without visual tokens.

Answer head and dual encoder read frames and have no opinion here, so nothing weighs the decoder's own, and
its confidence is not calibrated: of options their share of the likelihood, of an open answer the geometric
mean of its tokens' probabilities. The decoder was trained on prompts that begin with visual tokens.
"""

import math
from collections.abc import Sequence

import numpy as np

from gifqa.answering.base import Alternative, Reply
from gifqa.answering.decoder import Prefix, log_softmax
from gifqa.answering.lite_runtime import LiteRuntime
from gifqa.prompt import STATEMENT_ANSWERS, is_yes_no, normalise_answer, text_prompt

NUM_BEAMS = 4
MAX_ANSWER_TOKENS = 10


def answer_from_text(
    runtime: LiteRuntime, text: str, question: str, options: Sequence[str] | None = None
) -> Reply:
    """The likeliest answer to a question about a text.

    Args:
        runtime: of the bundle.
        text: what the question is about.
        question: one line.
        options: answers to choose from; None lets the question and the decoder choose them.
    """
    prompt = runtime.tokenizer.encode(text_prompt(text, question)).ids
    prefix = runtime.decoder.read(runtime.decoder.embed(prompt))
    if options is None and is_yes_no(question):
        options = STATEMENT_ANSWERS
    chances = _written(runtime, prefix) if options is None else _chosen(runtime, prefix, options)
    (answer, confidence), *others = sorted(chances.items(), key=lambda pair: -pair[1])
    return Reply(answer, confidence, tuple(Alternative(*other) for other in others))


def _chosen(runtime: LiteRuntime, prefix: Prefix, options: Sequence[str]) -> dict[str, float]:
    """Each option's share of the likelihood."""
    plain = [normalise_answer(option) or option for option in options]
    spoken = runtime.tokenizer.encode_batch([f" {answer}" for answer in plain])
    scores = runtime.decoder.log_likelihoods(prefix, [encoding.ids for encoding in spoken])
    return dict(zip(options, np.exp(log_softmax(scores)).tolist(), strict=True))


def _written(runtime: LiteRuntime, prefix: Prefix) -> dict[str, float]:
    """Different answers of the decoder's own, each with the mean probability of its tokens."""
    chances: dict[str, float] = {}
    for found in runtime.decoder.search(prefix, NUM_BEAMS, MAX_ANSWER_TOKENS):
        written = runtime.tokenizer.decode(list(found.tokens)).strip()
        chances.setdefault(normalise_answer(written) or written, math.exp(found.per_token))
    return chances
