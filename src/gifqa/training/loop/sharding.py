"""FSDP: each process keeps a share of every parameter, gradient and optimiser state, and none of them all.

Before a part computes, its parameters are gathered from all processes, and let go of afterwards; its
gradients are added up over the processes, and each keeps its share. So a part computes what it would compute
whole. A part is a layer of the language model, or all that is in no layer.

A tensor of which this process has only a share is a `DTensor`: `whole` gathers it, `share_of` cuts it.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar, cast

import torch
from torch import Tensor, nn

from gifqa.errors import ConfigError
from gifqa.training.loop.distribution import Processes

Value = TypeVar("Value")


def shard(
    module: nn.Module, layers: Iterable[nn.Module], methods: Sequence[str], processes: Processes
) -> None:
    """Leave this process its share of a module, on its device.

    Args:
        module: the same in all processes, weights included.
        layers: parts of it that are gathered one by one; they compute by their `forward`.
        methods: what else than `forward` the module computes by. From outside no part of it may be called,
            and all processes must call it equally often.
        processes: those of the run.

    Raises:
        ConfigError: if the installed torch cannot do it.
    """
    from torch.distributed import fsdp
    from torch.distributed.device_mesh import init_device_mesh

    if not hasattr(getattr(fsdp, "FSDPModule", None), "set_force_sum_reduction_for_comms"):
        raise ConfigError(
            f"the config asks for FSDP, but torch {torch.__version__} is too old for it. Update torch, or "
            "leave FSDP out: each process then holds the whole model."
        )
    mesh = init_device_mesh(processes.device.type, (processes.count,))
    for part in (*layers, module):
        sharded: Any = fsdp.fully_shard(part, mesh=mesh, reshard_after_forward=True)
        sharded.set_gradient_divide_factor(1.0)
        sharded.set_force_sum_reduction_for_comms(True)  # gloo has no other
    for name in methods:
        fsdp.register_fsdp_forward_method(module, name)


def is_sharded(value: Tensor) -> bool:
    """Whether this process has only a share of the tensor."""
    return hasattr(value, "full_tensor")


def whole(value: Value) -> Value:
    """All of a tensor, or of each in dicts and lists; other values as they are. All processes must call."""
    found: Any = value
    if isinstance(value, dict):
        found = {name: whole(part) for name, part in value.items()}
    elif isinstance(value, list):
        found = [whole(part) for part in value]
    elif isinstance(value, Tensor) and is_sharded(value):
        found = found.full_tensor()
    return cast(Value, found)


def share_of(value: Tensor, like: Any) -> Tensor:
    """What this process keeps of a whole tensor that is sharded as `like` is. All processes must call."""
    if is_sharded(value) or not is_sharded(like):
        return value.to(like.device)
    from torch.distributed.tensor import distribute_tensor

    return distribute_tensor(value.to(like.device), like.device_mesh, like.placements)


@torch.no_grad()
def load_values(parameters: Mapping[str, Tensor], values: Mapping[str, Tensor]) -> None:
    """Set parameters to tensors, whole or cut as they are, by name. All processes must call."""
    for name, parameter in parameters.items():
        parameter.copy_(share_of(values[name], parameter))


def share_state(optimizer: torch.optim.Optimizer) -> None:
    """Cut what an optimiser was given whole by its `load_state_dict` as its parameters are cut."""
    for parameter, values in optimizer.state.items():
        for name, value in values.items():
            if value.shape == parameter.shape:
                values[name] = share_of(value, parameter)
