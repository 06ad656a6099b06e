"""The language model: any causal LM by Hugging Face id, folder or GGUF file, with a cut vocabulary and LoRA.

A byte-level BPE vocabulary is ordered by merge rank, so its first N tokens with the merges among them are a
tokenizer of their own: text that needs a dropped token is spelt with shorter ones. `gifqa-lite` keeps half of
SmolLM2's 49,152 tokens, which saves a fifth of its weights and half of the logits.
"""

import json
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import nn

from gifqa.errors import CheckpointError, ConfigError
from gifqa.extras import require
from gifqa.model.sources import check_report, short

LORA_TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj", "down_proj")
INT4_PROJECTIONS = ("gate_proj", "up_proj")
"""Half of the decoder's weights: the bundle holds these in 4 bits and the rest in 8."""
INT4_BLOCK = 32


def load_language_model(
    source: str, *, dtype: torch.dtype = torch.float32, revision: str | None = None
) -> Any:
    """A causal language model from a folder, a Hugging Face id or a `.gguf` file.

    Args:
        source: folder or id; a path that ends in `.gguf` is converted (takes half a minute).
        dtype: of the weights.
        revision: the hub's commit; None takes the newest.

    Returns:
        The `transformers` model in evaluation mode.

    Raises:
        CheckpointError: if `transformers` cannot load it, or weights are missing.
    """
    transformers = require("transformers", "train")
    folder, gguf_file = _place(source)
    try:
        model, report = transformers.AutoModelForCausalLM.from_pretrained(
            folder,
            gguf_file=gguf_file,
            dtype=dtype,
            revision=revision or "main",
            use_safetensors=gguf_file is None,
            trust_remote_code=False,
            output_loading_info=True,
        )
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise CheckpointError(
            f"{source} holds no language model that can be loaded ({short(error)}); a folder, a Hugging Face "
            "id or a .gguf file can be. Check the path or the id."
        ) from error
    check_report(source, report, "the language model")
    return model.eval()


def _place(source: str) -> tuple[str, str | None]:
    """What `from_pretrained` calls the place, and the name of the GGUF file there."""
    path = Path(source)
    return (str(path.parent), path.name) if path.suffix == ".gguf" else (source, None)


def save_cut_model(source: str, folder: Path, vocabulary_size: int) -> None:
    """Write a language model as a plain Hugging Face folder with the first `vocabulary_size` tokens.

    Args:
        source: see `load_language_model`; its input and output embeddings are tied.
        folder: gets model.safetensors, config.json and tokenizer.json.
        vocabulary_size: how many tokens stay; 0, or more than there are, leaves all.

    Raises:
        CheckpointError: if the model cannot be loaded or its vocabulary not be cut.
    """
    transformers = require("transformers", "train")
    save_file = require("safetensors.torch", "train").save_file
    model = load_language_model(source)
    place, gguf_file = _place(source)
    tokenizer = transformers.AutoTokenizer.from_pretrained(place, gguf_file=gguf_file)
    specification = json.loads(tokenizer.backend_tokenizer.to_str())
    size = min(vocabulary_size or model.config.vocab_size, model.config.vocab_size)
    is_cut = size < model.config.vocab_size
    if is_cut:
        specification = cut_vocabulary(specification, size)
    if is_cut and not model.config.tie_word_embeddings:
        raise CheckpointError(
            f"{source} has an output layer of its own; only models with tied embeddings can be cut. "
            "Choose another, such as SmolLM2-135M."
        )
    if is_cut and int(model.config.eos_token_id) >= size:
        raise CheckpointError(
            f"{source} ends texts with token {model.config.eos_token_id}, which a vocabulary of {size} does "
            "not have. Keep more tokens: raise language_model.vocabulary_size."
        )
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tokenizer.json").write_text(json.dumps(specification, ensure_ascii=False), encoding="utf-8")
    if is_cut:
        model.resize_token_embeddings(size)
    config = model.config.to_dict()
    for key in ("quantization_config", "_name_or_path"):
        config.pop(key, None)
    config |= {"architectures": [type(model).__name__], "vocab_size": size}
    (folder / "config.json").write_text(json.dumps(config, indent=1, default=str), encoding="utf-8")
    state = model.state_dict()
    if model.config.tie_word_embeddings:
        state.pop("lm_head.weight", None)
    save_file(
        {name: value.contiguous() for name, value in state.items()},
        folder / "model.safetensors",
        metadata={"format": "pt"},
    )


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
        raise CheckpointError(
            f"the tokenizer is of type {model.get('type')}; only BPE vocabularies can be cut. "
            "Choose a language model with a byte-level BPE tokenizer."
        )
    vocabulary = {token: index for token, index in model["vocab"].items() if index < size}
    merges = []
    for merge in model["merges"]:
        left, right = merge.split(" ") if isinstance(merge, str) else merge
        if left in vocabulary and right in vocabulary and left + right in vocabulary:
            merges.append(merge)
    added = [token for token in specification["added_tokens"] if token["id"] < size]
    return specification | {"model": model | {"vocab": vocabulary, "merges": merges}, "added_tokens": added}


def add_lora(model: nn.Module, rank: int, alpha: int, targets: Sequence[str] = ()) -> Any:
    """The model wrapped by peft, its own weights frozen.

    Reference: LoRA (Hu et al., 2021), https://arxiv.org/abs/2106.09685

    Args:
        model: a `transformers` causal language model.
        rank: of the added matrices.
        alpha: they are scaled by alpha / rank.
        targets: names of the linear layers that get one; none named takes `LORA_TARGETS` of a model that has
            them, and of another what peft knows for its architecture (of GPT-2 `c_attn`).

    Raises:
        ConfigError: if the model has no layers of these names, or none are named and peft knows none.
    """
    peft = require("peft", "train")
    kinds = {name.rpartition(".")[2]: type(layer).__name__ for name, layer in model.named_modules()}
    if not targets and set(LORA_TARGETS) <= kinds.keys():
        targets = LORA_TARGETS
    config = peft.LoraConfig(
        r=rank,
        lora_alpha=alpha,
        target_modules=list(targets) or None,
        lora_dropout=0.0,
        fan_in_fan_out="Conv1D" in kinds.values(),  # the layers of GPT-2 hold their weights transposed
        task_type="CAUSAL_LM",
    )
    try:
        with warnings.catch_warnings():  # peft asks for an attribute by its old name
            warnings.filterwarnings("ignore", ".*is_gradient_checkpointing", FutureWarning)
            return peft.get_peft_model(model, config)
    except ValueError as error:
        linear = sorted(name for name, kind in kinds.items() if kind in {"Linear", "Conv1D"})
        raise ConfigError(
            f"language.lora_targets is {list(targets) or 'not set'}, and LoRA finds no layers for it "
            f"({short(error)}); the language model has {', '.join(linear)}. Name some of these."
        ) from error


@torch.no_grad()
def round_for_int4(model: nn.Module) -> None:
    """Round the `INT4_PROJECTIONS` in place to the values that the bundle will hold.

    LoRA then learns around their rounding instead of meeting it at export; they carry no LoRA themselves.
    """
    for name, parameter in model.named_parameters():
        if any(part in name for part in INT4_PROJECTIONS):
            parameter.copy_(int4_values(parameter))


def int4_values(weight: torch.Tensor) -> torch.Tensor:
    """A weight (out, in) as ONNX Runtime's asymmetric 4-bit blocks along `in` represent it.

    Rounding twice is rounding once.
    """
    blocks = weight.float().reshape(len(weight), -1, INT4_BLOCK)
    low = blocks.amin(-1, keepdim=True).clamp(max=0)
    high = blocks.amax(-1, keepdim=True).clamp(min=0)
    scale = ((high - low) / 15).clamp_min(1e-12)
    zero = (-low / scale).round().clamp(0, 15)
    levels = ((blocks / scale).round() + zero).clamp(0, 15)
    return ((levels - zero) * scale).reshape_as(weight)
