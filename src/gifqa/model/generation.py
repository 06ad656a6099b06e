"""Greedy decoding with a key-value cache, for any causal language model of `transformers`."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from gifqa.extras import require


@dataclass(frozen=True)
class Written:
    """What the language model wrote after one prompt."""

    tokens: list[int]
    """Without the one that ends the text."""
    log_probability: float
    """Mean over the tokens written, the ending one included."""


@torch.inference_mode()
def write_greedily(
    language_model: Any, inputs_embeds: Tensor, eos_token_id: int, max_new_tokens: int
) -> Written:
    """The likeliest token, again and again, until the end or `max_new_tokens`.

    Each token costs one step over the cache; the prompt is read once. What the checkpoint's own settings say
    of sampling and of repetition is not followed: it was made for chats.

    Args:
        language_model: with or without LoRA, in evaluation mode.
        inputs_embeds: the prompt, (1, S, E).
        eos_token_id: ends the text.
        max_new_tokens: at most so many, at least 1.

    Returns:
        The tokens and how sure the model was.
    """
    settings = require("transformers", "train").GenerationConfig(
        do_sample=False,
        num_beams=1,
        temperature=1.0,
        top_k=50,
        top_p=1.0,
        repetition_penalty=1.0,
        max_new_tokens=max_new_tokens,
        eos_token_id=eos_token_id,
        pad_token_id=eos_token_id,
        return_dict_in_generate=True,
        output_logits=True,
    )
    output = language_model.generate(
        inputs_embeds=inputs_embeds,
        attention_mask=torch.ones(inputs_embeds.shape[:2], dtype=torch.long, device=inputs_embeds.device),
        generation_config=settings,
    )
    scores = torch.cat(output.logits).float().log_softmax(dim=-1)
    tokens = output.sequences[0].tolist()
    found = [float(row[token]) for row, token in zip(scores, tokens, strict=True)]
    if tokens[-1] == eos_token_id:
        tokens.pop()
    return Written(tokens, sum(found) / len(found))
