"""The language model: any causal LM by Hugging Face id, folder or GGUF file, with a cut vocabulary and LoRA.

A byte-level BPE vocabulary is ordered by merge rank, so its first N tokens with the merges among them are a
tokenizer of their own: text that needs a dropped token is spelt with shorter ones. `gifqa-lite` keeps half of
SmolLM2's 49,152 tokens, which saves a fifth of its weights and half of the logits.
"""

import json
from pathlib import Path
from typing import Any

import torch
from torch import nn

from gifqa.errors import CheckpointError
from gifqa.extras import require

LORA_TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


def load_language_model(source: str, *, dtype: torch.dtype = torch.float32) -> Any:
    """A causal language model from a folder, a Hugging Face id or a `.gguf` file.

    Args:
        source: folder or id; a path that ends in `.gguf` is converted (takes half a minute).
        dtype: of the weights.

    Returns:
        The `transformers` model in evaluation mode.

    Raises:
        CheckpointError: if `transformers` cannot load it.
    """
    transformers = require("transformers", "train")
    path = Path(source)
    where = (str(path.parent), path.name) if path.suffix == ".gguf" else (source, None)
    try:
        model = transformers.AutoModelForCausalLM.from_pretrained(where[0], gguf_file=where[1], dtype=dtype)
    except (OSError, ValueError, KeyError) as error:
        raise CheckpointError(
            f"cannot load a language model from {source} ({error}); give a folder, a Hugging Face id or a .gguf file"
        ) from error
    return model.eval()


def convert_gguf(gguf_path: Path, folder: Path, vocabulary_size: int) -> None:
    """Write a GGUF model as a plain Hugging Face folder with the first `vocabulary_size` tokens.

    Args:
        gguf_path: for example SmolLM2-135M-Instruct.Q4_1.gguf.
        folder: gets model.safetensors, config.json and tokenizer.json.
        vocabulary_size: how many tokens stay.
    """
    transformers = require("transformers", "train")
    save_file = require("safetensors.torch", "train").save_file
    model = load_language_model(str(gguf_path))
    tokenizer = transformers.AutoTokenizer.from_pretrained(str(gguf_path.parent), gguf_file=gguf_path.name)
    folder.mkdir(parents=True, exist_ok=True)
    specification = json.loads(tokenizer.backend_tokenizer.to_str())
    (folder / "tokenizer.json").write_text(json.dumps(cut_vocabulary(specification, vocabulary_size), ensure_ascii=False))
    model.resize_token_embeddings(vocabulary_size)
    config = model.config.to_dict()
    for key in ("quantization_config", "_name_or_path"):
        config.pop(key, None)
    config |= {"architectures": ["LlamaForCausalLM"], "vocab_size": vocabulary_size}
    (folder / "config.json").write_text(json.dumps(config, indent=1, default=str))
    state = {name: value.contiguous() for name, value in model.state_dict().items() if name != "lm_head.weight"}
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})


def cut_vocabulary(specification: dict[str, Any], size: int) -> dict[str, Any]:
    """A byte-level BPE tokenizer.json with only its first `size` tokens and the merges among them.

    Args:
        specification: the parsed tokenizer.json; not changed.
        size: tokens to keep.

    Returns:
        The smaller specification.

    Raises:
        CheckpointError: if it is not a BPE tokenizer.
    """
    model = specification["model"]
    if model.get("type") != "BPE":
        raise CheckpointError(f"the tokenizer is of type {model.get('type')}; only BPE vocabularies can be cut")
    vocabulary = {token: index for token, index in model["vocab"].items() if index < size}
    merges = []
    for merge in model["merges"]:
        left, right = merge.split(" ") if isinstance(merge, str) else merge
        if left in vocabulary and right in vocabulary and left + right in vocabulary:
            merges.append(merge)
    added = [token for token in specification["added_tokens"] if token["id"] < size]
    return specification | {"model": model | {"vocab": vocabulary, "merges": merges}, "added_tokens": added}


def add_lora(model: nn.Module, rank: int, alpha: int, targets: tuple[str, ...] = LORA_TARGETS) -> Any:
    """The model wrapped by peft, its own weights frozen.

    Reference: LoRA (Hu et al., 2021), https://arxiv.org/abs/2106.09685
    """
    peft = require("peft", "train")
    config = peft.LoraConfig(
        r=rank, lora_alpha=alpha, target_modules=list(targets), lora_dropout=0.0, task_type="CAUSAL_LM"
    )
    return peft.get_peft_model(model, config)
