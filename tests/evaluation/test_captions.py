"""Caption metrics against the reference libraries and against the definitions computed another way."""

import math
import random

import numpy as np
import pytest

from gifqa.evaluation.captions import bleu_statistics, cider, longest_common_subsequence, rouge_l
from gifqa.evaluation.metrics import caption_scores
from gifqa.evaluation.text import caption_tokens


def random_pairs(
    num_pairs: int, num_words: int, seed: int = 0
) -> tuple[list[list[str]], list[list[list[str]]]]:
    rng = random.Random(seed)
    words = [f"w{index}" for index in range(num_words)]

    def sentence() -> list[str]:
        return rng.choices(words, k=rng.randint(1, 12))

    predictions = [sentence() for _ in range(num_pairs)]
    return predictions, [[sentence() for _ in range(rng.randint(1, 4))] for _ in predictions]


def dense_cider(predictions, references, *, clip: bool, penalty: bool) -> list[float]:
    """CIDEr(-D) from dense vectors over an explicit vocabulary, straight from the paper's equations."""

    def ngrams(tokens, size):
        return [tuple(tokens[i : i + size]) for i in range(len(tokens) - size + 1)]

    totals = np.zeros(len(predictions))
    for size in range(1, 5):
        sentences = predictions + [reference for refs in references for reference in refs]
        grams = sorted({gram for tokens in sentences for gram in ngrams(tokens, size)})
        vocabulary = {gram: column for column, gram in enumerate(grams)}

        def vector(tokens, size=size, vocabulary=vocabulary):
            counts = np.zeros(len(vocabulary))
            for gram in ngrams(tokens, size):
                counts[vocabulary[gram]] += 1
            return counts

        present = np.array([np.any([vector(r) > 0 for r in refs], axis=0) for refs in references])
        idf = math.log(len(references)) - np.log(np.maximum(1, present.sum(0)))
        for row, (tokens, refs) in enumerate(zip(predictions, references, strict=True)):
            for reference in refs:
                a, b = vector(tokens) * idf, vector(reference) * idf
                norm = np.linalg.norm(a) * np.linalg.norm(b)
                dot = (np.minimum(a, b) if clip else a) @ b
                gap = max(0, len(tokens) - 1) - max(0, len(reference) - 1)
                weight = math.exp(-(gap**2) / 72) if penalty else 1.0
                totals[row] += weight * (dot / norm if norm else 0.0) / len(refs)
    return list(10 * totals / 4)


def test_bleu_equals_sacrebleu_on_a_thousand_random_pairs():
    sacrebleu = pytest.importorskip("sacrebleu")
    predictions, references = random_pairs(1000, 5)
    streams = [[" ".join(refs[k]) if k < len(refs) else None for refs in references] for k in range(4)]
    ours = bleu_statistics(predictions, references).score()
    for size in range(1, 5):
        scorer = sacrebleu.BLEU(tokenize="none", smooth_method="none", max_ngram_order=size, force=True)
        theirs = scorer.corpus_score([" ".join(tokens) for tokens in predictions], streams).score / 100
        assert ours[size - 1] == pytest.approx(theirs, abs=1e-6)


def test_bleu_of_a_perfect_caption_is_one_and_of_a_short_one_is_penalised():
    words = ["a", "dog", "runs", "over", "the", "grass"]
    assert bleu_statistics([words], [[words]]).score() == pytest.approx(np.ones(4))
    assert bleu_statistics([words[:3]], [[words]]).score()[0] == pytest.approx(math.exp(1 - 6 / 3))


def test_bleu_is_over_words_and_not_over_characters():
    """The original passed strings to NLTK, which took each character as a reference: `nad cis` scored 1.0."""
    scores = bleu_statistics([caption_tokens("nad cis")], [[caption_tokens("a man is dancing")]]).score()
    assert scores[0] == pytest.approx(0.0, abs=1e-9)


def test_rouge_l_equals_rouge_score_precision_and_recall():
    pytest.importorskip("rouge_score")
    from rouge_score import rouge_scorer, tokenizers

    class Split(tokenizers.Tokenizer):
        def tokenize(self, text):
            return text.split()

    scorer = rouge_scorer.RougeScorer(["rougeL"], tokenizer=Split())
    predictions, references = random_pairs(1000, 5, seed=1)
    expected = []
    for tokens, refs in zip(predictions, references, strict=True):
        parts = [scorer.score(" ".join(r), " ".join(tokens))["rougeL"] for r in refs]
        precision, recall = max(p.precision for p in parts), max(p.recall for p in parts)
        expected.append(
            (1 + 1.44) * precision * recall / (recall + 1.44 * precision) if precision and recall else 0.0
        )
    assert rouge_l(predictions, references) == pytest.approx(expected, abs=1e-9)


def test_longest_common_subsequence_keeps_the_order():
    assert longest_common_subsequence(["a", "b", "c", "d"], ["d", "a", "c", "b"]) == 2
    assert longest_common_subsequence([], ["a"]) == 0


@pytest.mark.parametrize(("variant", "clip", "penalty"), [("d", True, True), ("plain", False, False)])
def test_cider_equals_the_equations_on_dense_vectors(variant, clip, penalty):
    predictions, references = random_pairs(60, 6, seed=2)
    expected = dense_cider(predictions, references, clip=clip, penalty=penalty)
    assert cider(predictions, references, variant) == pytest.approx(expected, abs=1e-9)


def test_cider_d_and_rouge_equal_the_coco_evaluation():
    scorer = pytest.importorskip("pycocoevalcap.cider.cider")
    rouge = pytest.importorskip("pycocoevalcap.rouge.rouge")
    predictions, references = random_pairs(1000, 8, seed=3)
    gts = {row: [" ".join(r) for r in refs] for row, refs in enumerate(references)}
    res = {row: [" ".join(tokens)] for row, tokens in enumerate(predictions)}
    assert cider(predictions, references) == pytest.approx(
        scorer.Cider().compute_score(gts, res)[1], abs=1e-9
    )
    assert rouge_l(predictions, references) == pytest.approx(
        rouge.Rouge().compute_score(gts, res)[1], abs=1e-9
    )


def test_cider_rejects_an_unknown_variant():
    with pytest.raises(ValueError, match=r"variant 'r' was given; it is 'd' or 'plain'"):
        cider([["a"]], [[["a"]]], "r")


def test_caption_scores_tokenise_and_give_intervals_around_the_value():
    predictions = ["A dog runs.", "A cat sits.", "A man talks!"] * 5
    references = [["a dog runs"], ["the cat sits"], ["a man is talking"]] * 5
    scores = caption_scores(predictions, references)
    assert set(scores) == {"bleu_1", "bleu_2", "bleu_3", "bleu_4", "rouge_l", "cider_d", "cider"}
    assert scores["bleu_1"].value == pytest.approx(
        bleu_statistics(
            [caption_tokens(text) for text in predictions],
            [[caption_tokens(text) for text in texts] for texts in references],
        ).score()[0]
    )
    for interval in scores.values():
        assert interval.low <= interval.value <= interval.high


@pytest.mark.parametrize(
    ("caption", "tokens"),
    [
        ("A man's dog doesn't bark.", "a man 's dog does n't bark"),
        ("Two t-shirts, one cannot fit!", "two t-shirts one can not fit"),
        ("He drives at 10:30 (fast)...", "he drives at 10:30 -lrb- fast -rrb-"),
        ("his/her U.S. team won 1,000 games;", "his/her u.s. team won 1,000 games"),
        ("It’s “great”", "it 's great"),
        ("", ""),
    ],
)
def test_caption_tokens_follow_the_stanford_tokenizer(caption, tokens):
    assert caption_tokens(caption) == tokens.split()
