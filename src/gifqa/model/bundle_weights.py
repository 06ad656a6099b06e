"""The weights of a bundle, read back from its graphs: what training can start from.

Eight- and four-bit matrices come back as the values that they stand for.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gifqa.answering.bundle import Bundle
from gifqa.errors import CheckpointError
from gifqa.extras import require

MIDDLE = {4: 8, 8: 128}
"""The level that stands for zero where a quantised matrix has no zero points, by bits."""


def load_graph(
    module: nn.Module, graph: Path, *prefixes: str, derived: Callable[[str], bool] = lambda name: False
) -> None:
    """Set a module's weights to those that a graph was traced from.

    Args:
        module: of the same shape.
        graph: the ONNX file.
        prefixes: what the graph may call the module, such as "heads."; other weights are left alone.
        derived: whether a weight need not be in the graph, by its name in the module; it keeps its value.

    Raises:
        CheckpointError: if a weight is missing or has another shape.
    """
    found = graph_weights(graph)
    state = module.state_dict()
    for name, value in state.items():
        if derived(name):
            continue
        weight = next((own for prefix in prefixes if (own := _find(found, prefix + name)) is not None), None)
        if weight is None or weight.shape != value.shape:
            there = "missing" if weight is None else tuple(weight.shape)
            raise CheckpointError(
                f"{graph} does not hold the weights of this recipe: {name} is {tuple(value.shape)} here and "
                f"{there} there. Use the recipe that the bundle was trained with."
            )
        value.copy_(weight)
    module.load_state_dict(state)


def _find(weights: Mapping[str, Tensor], name: str) -> Tensor | None:
    """A weight by its name, or by the longest end of it that a node knows, which begins with a dot."""
    parts = name.split(".")
    ends = (f".{'.'.join(parts[start:])}" for start in range(len(parts)))
    return next((weights[one] for one in (name, *ends) if one in weights), None)


def graph_weights(path: Path) -> dict[str, Tensor]:
    """Every weight of a traced graph as float32, by its name in the module that was traced.

    A matrix whose name the tracer dropped is called after the node that multiplies by it; the node does not
    know the modules that were left out of its path, so such a name begins with a dot.
    """
    onnx = require("onnx", "train")
    graph = onnx.load(str(path)).graph
    arrays = {one.name: onnx.numpy_helper.to_array(one) for one in graph.initializer}
    arrays = {name.removesuffix(".float16"): value for name, value in arrays.items()}
    owners = {name: node.name for node in graph.node if "MatMul" in node.op_type for name in node.input}
    weights = {}
    for name, array in arrays.items():
        stem, value = name.removesuffix("_quantized"), array
        if stem != name:
            value = _from_int8(array, arrays[f"{stem}_scale"], arrays[f"{stem}_zero_point"])
        elif f"{name.removesuffix('_scale').removesuffix('_zero_point')}_quantized" in arrays:
            continue
        own = stem.removesuffix("_Transposed")
        if stem.startswith("onnx::MatMul_"):
            own = f"{_module_path(owners[name])}.weight"
        weights[own] = _tensor(value if own == stem else value.T)
    return weights


def _from_int8(values: NDArray[Any], scale: NDArray[Any], zero: NDArray[Any]) -> NDArray[np.float32]:
    return (values.astype(np.float32) - zero.astype(np.float32)) * scale.astype(np.float32)


def _module_path(node: str) -> str:
    """Of "/layers.0/feed_forward/feed_forward.2/MatMul_quant" it is ".layers.0.feed_forward.2"."""
    parts = node.strip("/").split("/")[:-1]
    kept = [
        part for part, after in zip(parts, [*parts[1:], ""], strict=True) if not after.startswith(f"{part}.")
    ]
    return "." + ".".join(kept)


def language_weights(bundle: Bundle) -> dict[str, Tensor]:
    """The weights of a bundle's language model, by their names in a Llama of `transformers`.

    Raises:
        CheckpointError: if the decoder is not one of those that `gifqa.model.export` writes.
    """
    onnx = require("onnx", "train")
    path, table = bundle.path("decoder.onnx"), bundle.embeddings
    graph = onnx.load(str(path)).graph
    arrays = {one.name: onnx.numpy_helper.to_array(one) for one in graph.initializer}
    config, weights = (
        bundle.config,
        {"model.embed_tokens.weight": _tensor(table.words * table.scales[:, None])},
    )
    last = f"model.layers.{config.num_layers}.final_norm_layernorm.weight"
    try:
        weights["model.norm.weight"] = _tensor(arrays[last])
        for number in range(config.num_layers):
            layer = f"model.layers.{number}"
            for norm in ("input_layernorm", "post_attention_layernorm"):
                weights[f"{layer}.{norm}.weight"] = _tensor(arrays[f"{layer}.{norm}.weight"])
            for part in ("gate_proj", "up_proj", "down_proj"):
                weights[f"{layer}.mlp.{part}.weight"] = _matrix(arrays, f"{layer}.mlp.{part}")
            weights[f"{layer}.self_attn.o_proj.weight"] = _matrix(arrays, f"{layer}.attn.o_proj")
            packed = _matrix(arrays, f"{layer}.attn.qkv_proj")
            shared = config.num_key_value_heads * config.head_size
            sizes = [len(packed) - 2 * shared, shared, shared]
            for part, weight in zip("qkv", torch.split(packed, sizes), strict=True):
                weights[f"{layer}.self_attn.{part}_proj.weight"] = weight.contiguous()
    except KeyError as error:
        raise CheckpointError(
            f"{path} has no {error}; it is not a decoder that gifqa export wrote. Give another bundle."
        ) from error
    return weights


def _tensor(value: NDArray[Any]) -> Tensor:
    return torch.from_numpy(np.array(value, np.float32, order="C"))


def _matrix(arrays: Mapping[str, NDArray[Any]], name: str) -> Tensor:
    """A weight (out, in) of a `MatMulNBits`: blocks (out, n, bytes), the low half of a byte first."""
    bits = 4 if f"{name}.MatMul.weight_Q4" in arrays else 8
    levels = arrays[f"{name}.MatMul.weight_Q{bits}"]
    scales = arrays[f"{name}.MatMul.weight_scales"].reshape(*levels.shape[:2], 1)
    zeros = arrays.get(f"{name}.MatMul.weight_zero_points")
    if bits == 4:
        levels = _halves(levels)
    middle: Any = MIDDLE[bits]
    if zeros is not None:
        zeros = zeros.reshape(len(levels), -1)
        middle = (_halves(zeros) if bits == 4 else zeros)[:, : levels.shape[1], None].astype(np.float32)
    return _tensor(((levels.astype(np.float32) - middle) * scales).reshape(len(levels), -1))


def _halves(packed: NDArray[Any]) -> NDArray[Any]:
    """(..., n) bytes -> (..., 2 n) numbers of four bits."""
    return np.stack([packed & 15, packed >> 4], axis=-1).reshape(*packed.shape[:-1], -1)
