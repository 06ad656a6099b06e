import pytest

torch = pytest.importorskip("torch")

from gifqa.model.qformer_heads import AnswerHead, CaptionHead, LanguageProjection, WordHead  # noqa: E402


def unit(*shape, seed=0):
    rows = torch.randn(*shape, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.normalize(rows, dim=-1)


def test_visual_tokens_are_as_long_as_words():
    tokens = LanguageProjection(16, 24, embedding_norm=3.5)(torch.randn(2, 4, 16))

    assert tokens.shape == (2, 4, 24)
    torch.testing.assert_close(tokens.norm(dim=-1), torch.full((2, 4), 3.5))


class TestWordHead:
    def test_the_nearest_word_scores_highest_whatever_the_length(self):
        words = unit(5, 8)
        head = WordHead(words)

        assert head(words[None] * 7).argmax(-1).tolist() == [[0, 1, 2, 3, 4]]
        torch.testing.assert_close(head(words[None] * 7), head(words[None]))

    def test_one_token_that_means_a_word_is_enough(self):
        words = torch.eye(4)
        head = WordHead(words)
        logits = head.any_token(torch.stack([words[1], words[3]])[None])[0]

        assert {int(index) for index in logits.topk(2).indices} == {1, 3}

    def test_words_are_not_trained(self):
        assert {name for name, _ in WordHead(torch.eye(3)).named_parameters()} == {"scale", "bias"}


class TestAnswerHead:
    @pytest.fixture
    def head(self):
        torch.manual_seed(0)
        return AnswerHead(16, unit(6, 12))

    def test_a_logit_for_each_known_answer_from_the_first_query(self, head):
        states = torch.randn(2, 3, 16)
        other = states.clone()
        other[:, 1:] = 0

        assert head(states).shape == (2, 6)
        assert torch.equal(head(states), head(other))

    def test_known_answers_score_the_same_until_they_are_corrected(self, head):
        states = torch.randn(2, 3, 16)
        sentences = head.answer_sentences.expand(2, -1, -1)
        torch.testing.assert_close(head.score(states, sentences), head(states), atol=1e-5, rtol=1e-5)

        with torch.no_grad():
            head.correction[2] = 1.0
            head.bias[3] = 5.0
        difference = head(states) - head.score(states, sentences)
        assert difference[:, [0, 1, 4, 5]].abs().max() < 1e-5
        assert difference[:, 2].abs().min() > 1e-3
        torch.testing.assert_close(difference[:, 3], torch.full((2,), 5.0), atol=1e-5, rtol=1e-5)

    def test_unknown_answers_are_scored_by_their_sentence(self, head):
        states = torch.randn(2, 3, 16)
        unseen = unit(2, 4, 12, seed=9)
        scores = head.score(states, unseen)

        assert scores.shape == (2, 4)
        alone = head.score(states[1:], unseen[1:, 2:3])
        torch.testing.assert_close(scores[1:, 2:3], alone, atol=1e-5, rtol=1e-5)


def test_captions_are_compared_with_all_pictures():
    head = CaptionHead(16, 12)
    scores = head(torch.randn(2, 3, 16), unit(5, 12))

    assert scores.shape == (2, 5)
    assert scores.abs().max() <= head.log_temperature.exp() + 1e-4
    with torch.no_grad():
        head.log_temperature.fill_(20.0)
    assert head(torch.randn(2, 3, 16), unit(5, 12)).abs().max() <= 100.001  # CLIP's bound
