import random

import pytest

torch = pytest.importorskip("torch")

from gifqa.errors import ConfigError  # noqa: E402
from gifqa.prompt import DESCRIBE_QUESTION  # noqa: E402
from gifqa.training.data.batches import (  # noqa: E402
    Sampler,
    caption_sample,
    choose_rows,
    draw_validation,
    fixed_rows,
    pack_grids,
    upright_rows,
)

PHOTO, CLIP = "world/red-0.jpg", "world/red-1.webp"


def test_frames_of_a_clip_are_in_order_and_never_twice(store):
    for seed in range(10):
        rows = choose_rows(store, CLIP, 2, random.Random(seed), False)

        assert rows == sorted(set(rows))
        assert set(rows) < set(store.rows(CLIP))
    assert choose_rows(store, CLIP, 8, random.Random(0), False) == store.rows(CLIP)


def test_views_of_a_photo_may_come_in_any_order(store):
    shown = {tuple(choose_rows(store, PHOTO, 4, random.Random(seed), False)) for seed in range(20)}

    assert shown == {(0, 1), (1, 0)}


def test_questions_about_sides_see_no_mirrored_view(store):
    assert store.items[PHOTO]["flipped"] == [False, True]
    for seed in range(20):
        assert choose_rows(store, PHOTO, 4, random.Random(seed), True) == [store.rows(PHOTO)[0]]
        assert choose_rows(store, PHOTO, 1, random.Random(seed), True) == [store.rows(PHOTO)[0]]


def test_validation_looks_at_whole_photos_and_evenly_at_clips(store):
    assert fixed_rows(store, PHOTO, 4) == [store.rows(PHOTO)[0]]
    first, second, third = store.rows(CLIP)
    assert fixed_rows(store, CLIP, 1) == [second]
    assert fixed_rows(store, CLIP, 2) == [first, third]
    assert fixed_rows(store, CLIP, 9) == [first, second, third]


def test_short_rows_are_padded_and_masked(store):
    grid, mask = pack_grids(store, [[0], [1, 2, 3]])

    assert grid.shape == (2, 3, 4, 6)
    assert mask.tolist() == [[True, False, False], [True, True, True]]
    assert torch.equal(grid[1], store.grid([1, 2, 3]).float())


def test_samples_are_drawn_from_the_sources_there_are(annotations, texts):
    sources = {sample.source for sample in Sampler(annotations, texts, 0).draw(200)}

    assert sources == {"caption-open", "caption-yes/no", "visual7w", "match"}


def test_a_caption_is_matched_with_its_picture_or_with_another_whose_caption_it_is_not(annotations, texts):
    sampler = Sampler(annotations, texts, 0)
    for sample in (sampler.match() for _ in range(50)):
        assert (sample.question in annotations.captions[sample.picture]) == (sample.answer == "yes")


def test_equal_seeds_draw_equal_batches(annotations, texts):
    first, second, other = (Sampler(annotations, texts, seed) for seed in (5, 5, 6))

    assert first.draw(30) == second.draw(30)
    assert first.draw_captions(4) == second.draw_captions(4)
    assert first.draw(30) != other.draw(30)


def test_captions_of_different_pictures_are_drawn_and_no_more_than_there_are(annotations, texts):
    names = [name for name, _ in Sampler(annotations, texts, 0).draw_captions(500)]

    assert sorted(names) == sorted(annotations.captions)


def test_several_captions_of_a_picture_are_one_sample(annotations, texts):
    for name, captions in Sampler(annotations, texts, 0).draw_captions(500, 3):
        assert len(captions) == min(3, len(annotations.captions[name])) == len(set(captions))
        sample = caption_sample(name, *captions)
        assert (sample.answer, *sample.other_answers) == tuple(one.rstrip(" .").lower() for one in captions)
    assert caption_sample(PHOTO, "a dog .", "a dog on the left .").has_sides


def test_validation_is_drawn_once_and_by_source(annotations):
    counts = {"caption-open": 3, "captions": 2, "visual7w": 99, "vqa2": 5}
    drawn = draw_validation(annotations, counts, 0)

    assert drawn == draw_validation(annotations, counts, 0)
    assert [sample.source for sample in drawn] == ["caption-open"] * 3 + ["captions"] * 2 + ["visual7w"] * 12
    assert {sample.question for sample in drawn if sample.source == "captions"} == {DESCRIBE_QUESTION}


def test_weights_of_the_recipe_take_the_place_of_the_usual_shares(annotations, texts):
    annotations.weights = {"visual7w": 3, "match": 1, "vqa2": 5}
    sources = [sample.source for sample in Sampler(annotations, texts, 0).draw(400)]

    assert set(sources) == {"visual7w", "match"}  # nothing is there of vqa2
    assert sources.count("visual7w") == pytest.approx(300, abs=40)


def test_nothing_left_to_draw_is_an_error(annotations, texts):
    with pytest.raises(ConfigError, match=r"no question and no caption is left to train on.*`failed`"):
        Sampler(annotations.only({}), texts, 0)
    annotations.weights = {"vqa2": 1}
    with pytest.raises(ConfigError, match=r"data\.weights names vqa2, of which nothing is left .* visual7w"):
        Sampler(annotations, texts, 0)


def test_without_captions_no_statement_is_drawn(annotations, texts):
    """A whole caption cannot be asked about where there is none."""
    annotations.captions.clear()

    assert "match" not in {sample.source for sample in Sampler(annotations, texts, 0).draw(200)}


def test_captions_about_sides_keep_their_picture_from_being_mirrored(store, annotations):
    annotations.captions[PHOTO] = ("a red screen", "an arrow to the left")

    assert annotations.has_sides(PHOTO)
    assert not annotations.has_sides("world/green-0.jpg")
    assert caption_sample(PHOTO, annotations.captions[PHOTO][1]).has_sides
    assert upright_rows(store, PHOTO) == [store.rows(PHOTO)[0]]
    assert upright_rows(store, CLIP) == store.rows(CLIP)
