"""Which of the captions that were found is given."""

import numpy as np
import pytest

from gifqa.answering.lite_captions import Captions

SHORT, LONG = "a dog", "a brown dog on a beach"


@pytest.mark.parametrize(
    ("length_power", "fit_weight", "best"),
    [(0.0, 0.0, SHORT), (1.0, 0.0, LONG), (1.0, 3.0, SHORT), (3.0, 0.0, LONG)],
)
def test_length_and_fit_are_weighed(length_power, fit_weight, best):
    """Per token the long one is the likelier (-0.5 to -1); the short one fits by 0.4 more."""
    captions = Captions((SHORT, LONG), np.array([-3.0, -3.5]), np.array([3, 7]), np.array([0.9, 0.5]))

    assert captions.best(length_power=length_power, fit_weight=fit_weight) == best
