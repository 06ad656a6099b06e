"""The captions that the shipped model weighs: beams of its decoder, and how well each fits the frames."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gifqa.answering.bundle import Floats

NUM_BEAMS = 4
MAX_CAPTION_TOKENS = 24
LENGTH_POWER = 0.6
"""Of the number of tokens, which a log-probability is divided by: the higher, the longer the captions."""
FIT_WEIGHT = 9.0
"""Of a caption's cosine with the frames, beside its log-probability."""


@dataclass(frozen=True)
class Captions:
    """Captions and the two opinions on each; `benchmarks/caption_settings.py` compares how to weigh them."""

    texts: tuple[str, ...]
    log_probabilities: NDArray[np.float64]
    """By the decoder, the end included, (captions,)."""
    lengths: NDArray[np.int64]
    """Tokens, the end included, (captions,)."""
    fits: Floats
    """Cosine with the frames in the dual encoder's space, (captions,); 0 where the frames have no vectors."""

    def best(self, *, length_power: float = LENGTH_POWER, fit_weight: float = FIT_WEIGHT) -> str:
        """The caption with the highest sum of both opinions."""
        scores = self.log_probabilities / self.lengths**length_power + fit_weight * self.fits
        return self.texts[int(scores.argmax())]
