"""Calibration of the three opinions, on opinions whose true weights and chances are known."""

from types import SimpleNamespace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from gifqa.answering.bundle import Calibration  # noqa: E402
from gifqa.answering.lite import Opinions  # noqa: E402
from gifqa.prompt import YES_NO_KINDS  # noqa: E402
from gifqa.training import calibration as module  # noqa: E402
from gifqa.training.calibration import Judged, accuracy, fit_calibration, fit_platt, judge  # noqa: E402


def weights_of(head, language, fit, **changes):
    settings = {"head_weight": head, "language_weight": language, "fit_weight": fit, "slope": 1, "offset": 0}
    return Calibration(**settings | changes)


def synthetic(chance, count, truth, *, kind="open", num_candidates=5):
    """Questions whose right candidate is drawn by the shares that the weights `truth` give."""
    judged = []
    for _ in range(count):
        head, language, fit = chance.normal(0, 2.0, (3, num_candidates)).astype(np.float32)
        names = ("yes", "no") if kind in YES_NO_KINDS else tuple("abcdefgh"[:num_candidates])
        opinions = Opinions(kind, names, head, language, fit)
        shares = opinions.shares(truth).astype(np.float64)
        judged.append(Judged(opinions, int(chance.choice(num_candidates, p=shares / shares.sum()))))
    return judged


def expected_calibration_error(confidences, right, num_bins=10):
    confidences, right = np.asarray(confidences), np.asarray(right, float)
    bins = np.minimum((confidences * num_bins).astype(int), num_bins - 1)
    return sum(
        abs(confidences[bins == i].mean() - right[bins == i].mean()) * (bins == i).mean() for i in set(bins)
    )


def test_known_weights_are_found_again():
    truth = weights_of(0.7, 0.35, 0.5)
    judged = synthetic(np.random.default_rng(0), 1500, truth)
    found = module.search_weights(judged)

    assert accuracy(judged, found) >= accuracy(judged, truth) - 2 * module.NEAR_TIE
    given, true = np.array([found.head_weight, found.language_weight, found.fit_weight]), [0.7, 0.35, 0.5]
    cosine = given @ true / np.linalg.norm(given) / np.linalg.norm(true)
    assert cosine > 0.98, "their ratios are what decides; their size is made up for by the slope"


def test_an_opinion_that_means_nothing_gets_no_weight():
    judged = synthetic(np.random.default_rng(1), 800, weights_of(1.0, 0.0, 0.0))
    found = module.search_weights(judged)

    assert found.head_weight >= 0.7
    assert found.language_weight <= 0.1 and found.fit_weight <= 0.1


def test_the_search_measures_what_the_weights_do():
    """It works on all questions at once, padded; `Opinions.shares` on each alone."""
    chance = np.random.default_rng(2)
    truth = weights_of(1.0, 0.5, 0.25)
    judged = [one for n in (2, 3, 7) for one in synthetic(chance, 40, truth, num_candidates=n)]
    judged += [Judged(one.opinions, None) for one in judged[:20]]
    stacked = module._stack(judged)

    for given in [(1.0, 0.5, 0.25), (0.0, 0.0, 1.2), (2.0, 0.0, 0.1)]:
        share_right, likelihood = module._measure(*stacked, given)
        logs = [np.log(one.opinions.shares(weights_of(*given))[one.right]) for one in judged[:-20]]
        assert share_right == pytest.approx(accuracy(judged, weights_of(*given)))
        assert likelihood == pytest.approx(np.mean(np.maximum(logs, np.log(module.SURE))), abs=1e-4)


def test_questions_without_a_right_candidate_are_wrong_whoever_wins():
    judged = synthetic(np.random.default_rng(3), 50, weights_of(1, 0, 0))
    unanswerable = [Judged(one.opinions, None) for one in judged]

    assert accuracy(unanswerable, weights_of(1, 0, 0)) == 0
    assert fit_calibration(unanswerable).confidence(0.9) < 0.1


@pytest.mark.parametrize("kind", YES_NO_KINDS)
def test_weights_of_yes_and_no_are_found_again(kind):
    truth = weights_of(0.8, 0.3, 0.0, yes_offset=-0.7)
    judged = synthetic(np.random.default_rng(4), 4000, truth, kind=kind, num_candidates=2)
    found = fit_calibration(judged)

    given = [found.head_weight, found.language_weight, found.fit_weight, found.yes_offset]
    assert np.allclose(given, [0.8, 0.3, 0.0, -0.7], atol=0.12)
    assert found.slope == pytest.approx(1, abs=0.15) and found.offset == pytest.approx(0, abs=0.15)


def test_yes_and_no_may_stand_in_any_order():
    chance = np.random.default_rng(5)
    judged = synthetic(chance, 300, weights_of(1, 0, 0, yes_offset=1), kind="yes/no", num_candidates=2)
    turned = [
        Judged(
            Opinions("yes/no", ("no", "yes"), *(part[::-1] for part in (o.head, o.language, o.fit))),
            1 - right,
        )
        for o, right in ((one.opinions, one.right) for one in judged)
    ]

    assert fit_calibration(turned).yes_offset == pytest.approx(fit_calibration(judged).yes_offset, abs=1e-5)


@pytest.mark.parametrize(("slope", "offset"), [(0.5, -0.4), (1.0, 0.0), (2.0, 0.6)])
def test_confidences_are_the_share_of_answers_that_are_right(slope, offset):
    """Fitted on one half, measured on the other: expected calibration error below 0.03."""
    chance = np.random.default_rng(6)
    shares = chance.beta(3, 2, 16000).clip(0.01, 0.99)
    truth = weights_of(1, 1, 0, slope=slope, offset=offset)
    right = chance.random(len(shares)) < [truth.confidence(share) for share in shares]
    half = len(shares) // 2
    found = weights_of(1, 1, 0).model_copy(
        update=dict(zip(("slope", "offset"), fit_platt(shares[:half], right[:half]), strict=True))
    )

    confidences = [found.confidence(share) for share in shares[half:]]
    assert expected_calibration_error(confidences, right[half:]) < 0.03
    assert found.slope == pytest.approx(slope, abs=0.1) and found.offset == pytest.approx(offset, abs=0.1)


def test_a_whole_fit_is_calibrated_on_questions_it_has_not_seen():
    chance = np.random.default_rng(7)
    truth = weights_of(1.4, 0.5, 0.25)
    fitted, unseen = synthetic(chance, 1000, truth), synthetic(chance, 3000, truth)
    found = fit_calibration(fitted)
    shares, right = module.winners(unseen, found)

    assert expected_calibration_error([found.confidence(share) for share in shares], right) < 0.03


@pytest.mark.parametrize("right", [[True] * 4, [False] * 4, [True]])
def test_a_fit_on_next_to_nothing_stays_finite(right):
    slope, offset = fit_platt([1 - 1e-6, 0.5, 0.9, 0.3][: len(right)], right)

    assert np.isfinite([slope, offset]).all()
    assert 0 < weights_of(1, 1, 0, slope=slope, offset=offset).confidence(0.9) < 1


def test_no_questions_are_refused():
    with pytest.raises(ValueError, match="a calibration needs at least one judged question; none was given"):
        fit_calibration([])


def test_newton_stays_at_what_it_is_drawn_to_when_nothing_is_known():
    weights = module.newton(np.zeros((3, 2)), np.full(3, 0.5), np.array([1.0, -2.0]), np.eye(2))

    assert weights == pytest.approx([1.0, -2.0])


class FakeAnswerer:
    """Weighs "A red." and "blue", whatever it is asked; keeps what it was given."""

    def __init__(self):
        self.calls = []

    def weigh(self, grid, embeddings, question, options):
        self.calls.append((grid, embeddings, question, options))
        numbers = np.zeros(2, np.float32)
        return Opinions("open", ("A red.", "blue"), numbers, numbers, numbers)


def test_judged_questions_are_those_of_the_samples(store, annotations):
    answerer = FakeAnswerer()
    heads = SimpleNamespace(
        encode_frames=lambda grid, pooled: grid.mean(1)[:, :3] + 0 * pooled[:, :3].float()
    )
    samples = annotations.samples
    judged = list(judge(answerer, heads, store, samples, 2))

    assert [one.right for one in judged] == [{"red": 0, "blue": 1}.get(sample.answer) for sample in samples]
    for sample, (grid, embeddings, question, options) in zip(samples, answerer.calls, strict=True):
        is_clip = sample.picture.endswith(".webp")
        assert (question, options) == (sample.question, sample.options or None)
        assert grid.dtype == np.float16 and len(grid) == len(embeddings) == (2 if is_clip else 1)
