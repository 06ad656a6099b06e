"""Gradients and losses of all processes, added up."""

from collections.abc import Sequence

import torch
from torch import nn

from gifqa.training.loop.distribution import Processes


@torch.no_grad()
def add_gradients(parameters: Sequence[nn.Parameter], processes: Processes) -> None:
    """Give every process the sum of the gradients of all.

    One flat tensor goes over the wire. A parameter that has no gradient in any process keeps none, so that an
    optimiser passes it over as it would in one process alone; one that has it somewhere gets it everywhere.
    Of a sharded model all this is done by the backward pass already.

    Args:
        parameters: the same, in the same order, in all processes.
        processes: those of the run.
    """
    if processes.count == 1 or processes.shards:
        return
    device = parameters[0].device
    used = torch.tensor([float(value.grad is not None) for value in parameters], device=device)
    parts = [torch.zeros_like(value) if value.grad is None else value.grad for value in parameters]
    flat = torch.cat([used, *(part.flatten().float() for part in parts)])
    torch.distributed.all_reduce(flat)
    start = len(parameters)
    for value, is_used in zip(parameters, flat[:start].tolist(), strict=True):
        if is_used:
            value.grad = flat[start : start + value.numel()].view_as(value).to(value.dtype)
        start += value.numel()


def add_values(values: dict[str, float], processes: Processes) -> dict[str, float]:
    """The sums of each value over the processes; all have the same names."""
    totals: dict[str, float] = {}
    for part in processes.gather(values):
        for name, value in part.items():
            totals[name] = totals.get(name, 0.0) + value
    return totals
