"""A bundle that is small enough to write in a test, and a language model whose every probability is known.

write_bundle(...)   the folder of a bundle: real config, checksums, embeddings and answers; graphs of bytes
history_model       an ONNX session in Python whose next token depends on all tokens before it, by its cache
"""

import json
from dataclasses import dataclass, field

import numpy as np
import pytest

VOCABULARY = 6
EOS = 0
CALIBRATION = {"head_weight": 1.0, "language_weight": 1.0, "fit_weight": 0.0, "slope": 1.0, "offset": 0.0}
CONFIG = {
    "format": 1, "name": "tiny", "version": "1.0", "image_size": 4, "num_visual_tokens": 2, "max_frames": 3,
    "max_text_tokens": 5, "eos_token_id": EOS, "num_layers": 1, "num_key_value_heads": 1,
    "head_size": VOCABULARY, "calibration": dict.fromkeys(("open", "yes/no", "options"), CALIBRATION),
}  # fmt: skip


@pytest.fixture
def write_bundle(tmp_path):
    """`write_bundle(config={}, arrays={}, answers=[...]) -> Path`: changes to the tiny bundle's files.

    Its word embeddings are the unit vectors: token 3 is embedded as (0, 0, 0, 1, 0, 0).
    """
    from gifqa.answering.bundle import REQUIRED, write_checksums

    def write(config=None, arrays=None, answers=("yes", "no", "red", "blue", "dog", "cat")):
        folder = tmp_path / "bundle"
        folder.mkdir(exist_ok=True)
        for name in REQUIRED:
            (folder / name).write_bytes(b"bytes of " + name.encode())
        (folder / "config.json").write_text(json.dumps(CONFIG | (config or {})), encoding="utf-8")
        (folder / "answers.json").write_text(json.dumps(list(answers)), encoding="utf-8")
        stored = {
            "words": (127 * np.eye(VOCABULARY)).astype(np.int8),
            "scales": np.full(VOCABULARY, 1 / 127, np.float32),
            "answer_weight": np.eye(4, dtype=np.float16),
            "answer_bias": np.zeros(4, np.float32),
            "references": np.eye(4, dtype=np.float16),
        }
        np.savez(folder / "embeddings.npz", **stored | (arrays or {}))
        write_checksums(folder)
        return folder

    return write


@dataclass
class HistoryModel:
    """Takes and gives what `decoder.onnx` does; its single layer's cache holds every vector it has read.

    Logits after vectors v_0 ... v_t: `follow`[v_t] + sum over i of (i + 1) * `recall`[v_i]. The places come
    from the cache and the mask, so a row of the wrong cache or a mask of the wrong length changes them.
    """

    follow: np.ndarray
    recall: np.ndarray
    batches: list[tuple[int, int, int]] = field(default_factory=list)
    """What was asked: (batch, new tokens, cached places)."""

    def run(self, _, feeds):
        embeds, mask = feeds["inputs_embeds"], feeds["attention_mask"]
        keys, values = feeds["past_key_values.0.key"], feeds["past_key_values.0.value"]
        batch, new, _ = embeds.shape
        cached = keys.shape[2]
        assert embeds.dtype == keys.dtype == np.float32 and mask.dtype == np.int64
        assert mask.shape == (batch, cached + new) and mask.all()
        assert keys.shape == values.shape == (batch, 1, cached, embeds.shape[2])
        assert batch == 1 or cached == 0 or new == 1, (
            "GroupQueryAttention takes no batch of several new tokens"
        )
        self.batches.append((batch, new, cached))
        places = np.arange(cached + 1, mask.shape[1] + 1)[None, None, :, None]
        keys = np.concatenate([keys, embeds[:, None]], axis=2)
        values = np.concatenate([values, (embeds[:, None] * places).astype(np.float32)], axis=2)
        remembered = values[:, 0].cumsum(axis=1)[:, cached:] @ self.recall
        return [(embeds @ self.follow + remembered).astype(np.float32), keys, values]

    def log_probabilities(self, tokens):
        """Of the next token after some tokens, worked out without a cache."""
        scores = self.follow[tokens[-1]] + sum((i + 1) * self.recall[token] for i, token in enumerate(tokens))
        return scores - np.log(np.exp(scores).sum())

    def log_likelihood(self, prompt, answer):
        """Of an answer and the end after a prompt."""
        tokens, total = list(prompt), 0.0
        for token in [*answer, EOS]:
            total += self.log_probabilities(tokens)[token]
            tokens.append(token)
        return total


@pytest.fixture
def history_model():
    chance = np.random.default_rng(5)
    follow, recall = chance.normal(0, 1.5, (2, VOCABULARY, VOCABULARY))
    recall[:, EOS] = 1  # the more has been said, the likelier is the end
    return HistoryModel(follow, 0.1 * recall)


@pytest.fixture
def markov_model():
    """`markov_model(table)`: a model whose next token depends on the last one, by a table of chances."""

    def make(table):
        return HistoryModel(np.log(np.asarray(table)), np.zeros((VOCABULARY, VOCABULARY)))

    return make


@pytest.fixture
def decoder_of(write_bundle):
    """`decoder_of(session)`: the decoder of the tiny bundle on that session."""
    from gifqa.answering.bundle import Bundle
    from gifqa.answering.decoder import Decoder

    return lambda session: Decoder(Bundle(write_bundle()), session)
