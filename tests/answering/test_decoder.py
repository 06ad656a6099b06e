"""The decoder's likelihoods and searches, against a model whose probabilities can be worked out by hand."""

import itertools

import numpy as np
import pytest

from gifqa.answering import decoder as module

EOS = 0
PROMPT = [3, 1, 5, 2]
ANSWERS = [[1], [2, 4, 4], [], [5, 1], [1, 3, 2, 5]]


@pytest.fixture
def decoder(decoder_of, history_model):
    return decoder_of(history_model)


def read(decoder, prompt):
    return decoder.read(decoder.embed(prompt))


def test_words_are_embedded_by_their_row_and_its_scale(decoder):
    assert np.allclose(decoder.embed([3, 0]), [[0, 0, 0, 1, 0, 0], [1, 0, 0, 0, 0, 0]])


def test_a_prompt_is_read_in_one_pass(decoder, history_model):
    prefix = read(decoder, PROMPT)

    assert history_model.batches == [(1, len(PROMPT), 0)]
    assert prefix.length == len(PROMPT)
    assert np.allclose(module.log_softmax(prefix.logits), history_model.log_probabilities(PROMPT), atol=1e-5)


def test_likelihoods_together_are_those_one_at_a_time_and_by_hand(decoder, history_model):
    prefix = read(decoder, PROMPT)
    together = decoder.log_likelihoods(prefix, ANSWERS)

    alone = [decoder.log_likelihoods(prefix, [answer])[0] for answer in ANSWERS]
    by_hand = [history_model.log_likelihood(PROMPT, answer) for answer in ANSWERS]
    assert together.dtype == np.float32
    assert np.allclose(together, alone, atol=1e-5)
    assert np.allclose(together, by_hand, atol=1e-4)


def test_the_order_of_the_answers_changes_nothing(decoder):
    prefix = read(decoder, PROMPT)
    forwards = decoder.log_likelihoods(prefix, ANSWERS)

    assert np.allclose(decoder.log_likelihoods(prefix, ANSWERS[::-1])[::-1], forwards, atol=1e-6)


def test_a_batch_never_has_several_new_tokens_after_a_cache(decoder, history_model):
    """ONNX Runtime's GroupQueryAttention takes one or the other; `HistoryModel.run` refuses both at once."""
    prefix = read(decoder, PROMPT)
    decoder.log_likelihoods(prefix, ANSWERS)
    decoder.search(prefix, 2, 4)

    assert max(batch for batch, _, _ in history_model.batches) == sum(1 for answer in ANSWERS if answer)
    assert all(new == 1 for _, new, cached in history_model.batches if cached)


def test_ended_answers_leave_the_batch(decoder, history_model):
    prefix = read(decoder, PROMPT)
    history_model.batches.clear()
    decoder.log_likelihoods(prefix, ANSWERS)

    running = [sum(len(answer) > step for answer in ANSWERS) for step in range(4)]
    assert [batch for batch, _, _ in history_model.batches] == running
    assert [cached for _, _, cached in history_model.batches] == [4, 5, 6, 7]


def test_many_long_answers_are_scored_in_parts(decoder, history_model, monkeypatch):
    """A hundred options after a long question would need gigabytes of cache at once."""
    prefix = read(decoder, PROMPT)
    together = decoder.log_likelihoods(prefix, ANSWERS)
    history_model.batches.clear()
    monkeypatch.setattr(module, "CACHED_PLACES", 20)  # two answers of 4 + 4 + 1 places

    assert np.allclose(decoder.log_likelihoods(prefix, ANSWERS), together, atol=1e-6)
    assert max(batch for batch, _, _ in history_model.batches) == 2


def greedy_by_hand(model, prompt, limit):
    tokens, total = list(prompt), 0.0
    while len(tokens) < len(prompt) + limit:
        scores = model.log_probabilities(tokens)
        total += scores.max()
        if scores.argmax() == EOS:
            break
        tokens.append(int(scores.argmax()))
    return tuple(tokens[len(prompt) :]), total


@pytest.mark.parametrize("prompt", [[3, 1, 5, 2], [1], [5, 5], [4, 2, 1], [2], [4]])
def test_one_beam_is_greedy(decoder, history_model, prompt):
    (found,) = decoder.search(read(decoder, prompt), 1, 6)

    tokens, total = greedy_by_hand(history_model, prompt, 6)
    assert found.tokens == tokens
    assert found.log_probability == pytest.approx(total, abs=1e-4)


TEMPTING = [
    # end   1     2     3     4     5
    [1 / 6] * 6,
    [0.01, 0.01, 0.57, 0.39, 0.01, 0.01],  # after the prompt: 2 looks best
    [0.22, 0.18, 0.15, 0.15, 0.15, 0.15],  # but nothing certain follows it
    [0.01, 0.01, 0.01, 0.01, 0.95, 0.01],  # while 3, 4 and the end
    [0.95, 0.01, 0.01, 0.01, 0.01, 0.01],  # are all but certain
    [1 / 6] * 6,
]


def best_by_hand(model, prompt, limit):
    """Of all sequences the one with the highest mean log-probability of a token, the end included."""
    all_answers = (
        answer for length in range(limit) for answer in itertools.product(range(1, 6), repeat=length)
    )
    scores = {answer: model.log_likelihood(prompt, answer) / (len(answer) + 1) for answer in all_answers}
    return max(scores, key=scores.get), max(scores.values())


def test_beams_find_the_best_sequence_where_greed_does_not(decoder_of, markov_model):
    model = markov_model(TEMPTING)
    decoder = decoder_of(model)
    prefix = read(decoder, [1])
    best, score = best_by_hand(model, [1], 4)
    found = decoder.search(prefix, 3, 4)

    assert best == (3, 4)
    assert found[0].tokens == best
    assert found[0].per_token == pytest.approx(score, abs=1e-5)
    assert decoder.search(prefix, 1, 4)[0].tokens != best


def test_what_beams_find_is_scored_right_and_sorted(decoder, history_model):
    found = decoder.search(read(decoder, PROMPT), 3, 6)

    assert [one.per_token for one in found] == sorted((one.per_token for one in found), reverse=True)
    assert len({one.tokens for one in found}) == len(found)
    for one in found:
        assert one.log_probability == pytest.approx(
            history_model.log_likelihood(PROMPT, one.tokens), abs=1e-4
        )


@pytest.mark.parametrize("num_beams", [1, 3])
def test_a_search_that_never_ends_gives_what_it_has(decoder_of, markov_model, num_beams):
    endless = [[1e-9, 0.9, 0.025, 0.025, 0.025, 0.025]] * 6
    decoder = decoder_of(markov_model(endless))
    found = decoder.search(read(decoder, [2]), num_beams, 5)

    assert len(found) == num_beams
    assert found[0].tokens == (1,) * 5


def test_an_answer_may_be_empty(decoder_of, markov_model):
    silent = [[0.95, 0.01, 0.01, 0.01, 0.01, 0.01]] * 6
    decoder = decoder_of(markov_model(silent))

    for num_beams in (1, 2):
        found = decoder.search(read(decoder, [1]), num_beams, 3)[0]
        assert found.tokens == ()
        assert found.per_token == pytest.approx(np.log(0.95), abs=1e-5)


def test_log_softmax_of_large_numbers_is_finite():
    given = np.array([[1e4, 1e4], [-1e4, 0.0]], np.float32)
    result = module.log_softmax(given)

    assert np.allclose(np.exp(result).sum(axis=1), 1)
    assert result.dtype == np.float32
