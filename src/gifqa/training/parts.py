"""One batch of the language stage, cut into the passes of the processes that share it.

Every process draws the same whole batch and cuts it in the same way, so each knows how many labels, known
answers and rows the others have. A pass divides its summed losses by the counts of the whole batch; the sum
over passes and processes is then the loss of the batch as one, whatever their number. (The mean of the
processes' means, which is what averaging their gradients gives, weighs a label token the more the fewer its
process has.)
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from gifqa.errors import ConfigError
from gifqa.model.vision_language_model import LanguageBatch
from gifqa.training.data.samples import Sample
from gifqa.training.data.targets import UNKNOWN


@dataclass(frozen=True)
class Batch:
    """What one optimiser step learns from, the same in all processes."""

    samples: Sequence[Sample]
    """N questions with their answers."""
    rows: Sequence[Sequence[int]]
    """Rows of the feature cache to show with each."""
    sequences: LanguageBatch
    """Theirs, padded to the longest."""
    answers: Tensor
    """(N,): the index of each answer among the known ones, `UNKNOWN` where it is none."""
    kept: Tensor | None
    """bool (N, L): which visual tokens the masked pass sees; None without masked video modelling."""

    def counts(self) -> dict[str, float]:
        """What the sums of each loss are to be divided by."""
        return {
            "language": float(self.sequences.label_weights.sum()),
            "answer": int((self.answers != UNKNOWN).sum()),
            "mvm": len(self.samples),
        }


@dataclass(frozen=True)
class Pass:
    """Tensors of some samples of a batch, as the model reads them."""

    grid: Tensor
    """(B, F, G, C)."""
    frame_mask: Tensor
    """bool (B, F)."""
    question: Tensor
    question_mask: Tensor
    """Both as of `gifqa.model.connectors.Connector`."""
    sequences: LanguageBatch
    answers: Tensor
    kept: Tensor | None
    """These three as of `Batch`, of B of its samples."""


def cut(batch: Batch, num_passes: int, num_processes: int, *, bucketing: bool) -> list[list[list[int]]]:
    """Which samples each process reads in each of its passes.

    With bucketing, samples of about one length and one number of frames share a pass, and the passes that the
    processes take at the same time are neighbours in length, so none waits long for another.

    Args:
        batch: N samples.
        num_passes: of each process; fewer if N is too small for it.
        num_processes: P.
        bucketing: sort by length first.

    Returns:
        Indices of samples by process and pass; the passes' sizes differ by one at most.

    Raises:
        ConfigError: if there are fewer samples than processes.
    """
    count = len(batch.samples)
    if count < num_processes:
        raise ConfigError(
            f"a batch of the language stage has {count} samples, but {num_processes} processes share it; "
            "each needs one. Raise language.batch_size, or start fewer processes."
        )
    order = list(range(count))
    if bucketing:
        lengths = batch.sequences.attention_mask.sum(1).tolist()
        order.sort(key=lambda index: (len(batch.rows[index]), lengths[index], index))
    parts = min(num_passes, count // num_processes) * num_processes
    chunks = [order[count * part // parts : count * (part + 1) // parts] for part in range(parts)]
    return [chunks[rank::num_processes] for rank in range(num_processes)]


def take_sequences(sequences: LanguageBatch, chosen: Sequence[int]) -> LanguageBatch:
    """Some rows of the sequences, padded to the longest of these."""
    rows = torch.tensor(chosen)
    width = int(sequences.attention_mask[rows].sum(1).max())
    return LanguageBatch(
        sequences.input_ids[rows, :width],
        sequences.attention_mask[rows, :width],
        sequences.labels[rows, :width],
        None if sequences.hint_mask is None else sequences.hint_mask[rows, :width],
        sequences.visual_mask[rows, :width],
        None if sequences.segments is None else sequences.segments[rows, :width],
    )


def on_device(part: Pass, device: torch.device) -> Pass:
    """The same pass with its tensors on a device."""
    sequences = LanguageBatch(**_moved(part.sequences, device))
    return Pass(**(_moved(part, device) | {"sequences": sequences}))


def _moved(fields: LanguageBatch | Pass, device: torch.device) -> dict[str, Any]:
    """The fields by name, tensors on the device."""
    values = vars(fields).items()
    return {name: value.to(device) if isinstance(value, Tensor) else value for name, value in values}
