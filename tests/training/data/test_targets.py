import pytest

torch = pytest.importorskip("torch")

from gifqa.training.data.samples import Annotations, Sample  # noqa: E402
from gifqa.training.data.targets import UNKNOWN, Targets, common_answers, common_words, content_words  # noqa: E402


def sample(answer, source="caption-open"):
    return Sample("a.jpg", "what ?", answer, source, "object")


def test_content_words_leave_out_stop_words_and_stops():
    assert content_words("A dog, and the cat. On ice") == ["dog", "cat", "ice"]


def test_common_answers_are_ordered_and_frequent_enough():
    samples = [sample("dog")] * 3 + [sample("cat")] * 2 + [sample("fox")] + [sample("yes", "match")] * 9

    assert common_answers(samples, 2, 10) == ["dog", "cat"]
    assert common_answers(samples, 1, 2) == ["dog", "cat"]
    assert set(common_answers(samples, 1, 10)) == {"dog", "cat", "fox", "yes", "no"}


def test_common_words_are_those_of_captions_and_answers():
    annotations = Annotations(captions={"a.jpg": ("a dog runs", "the dog sits"), "b.jpg": ("a cat runs",)})

    assert common_words(annotations, ["two foxes"], 2) == ["dog", "foxes", "runs", "two"]


@pytest.fixture
def small():
    annotations = Annotations(captions={"a.jpg": ("a dog runs", "a dog on ice")}, labels={"a.jpg": ("cat",)})
    return Targets(["dog", "cat"], ["cat", "dog", "ice", "snow"], annotations)


def test_unknown_answers_have_the_index_that_losses_ignore(small):
    assert small.answers([sample("cat"), sample("fox")]).tolist() == [1, UNKNOWN]


def test_the_words_of_an_answer_share_one(small):
    rows = small.answer_words([sample("dog on ice"), sample("the cat"), sample("fox")])

    assert rows.tolist() == [[0, 0.5, 0.5, 0], [1, 0, 0, 0], [0, 0, 0, 0]]


def test_a_picture_has_the_words_of_its_captions_and_labels(small):
    assert small.picture_words(["a.jpg"]).tolist() == [[1, 1, 1, 0]]


def test_a_picture_whose_captions_have_no_known_word_has_none():
    targets = Targets(["dog"], ["dog"], Annotations(captions={"a.jpg": ("a fox",)}))

    assert targets.picture_words(["a.jpg"]).tolist() == [[0]]
