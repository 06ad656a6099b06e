import pytest

pytest.importorskip("torch")

from gifqa.training.data.mirroring import forbids_mirroring


@pytest.mark.parametrize(
    "text",
    [
        "A man steps to the left.",
        "What is on the RIGHT?",
        "a clock hand turns clockwise",
        "the leftmost of two dogs",
        "A sign reads stop",
        "What letters are on the shirt?",
        "What number is on the bus",
        'a truck that says "milk"',
        "a shirt with 'love' on it",
    ],
)
def test_sides_and_what_can_be_read_keep_a_picture_as_it_is(text):
    assert forbids_mirroring(text)


@pytest.mark.parametrize(
    "text", ["A man rides a horse.", "a bright room", "it's the dog's bone", "what is he bringing?", ""]
)
def test_other_texts_are_true_of_the_mirror_image_too(text):
    assert not forbids_mirroring(text)
