import numpy as np
import pytest

torch = pytest.importorskip("torch")

from gifqa.errors import CheckpointError  # noqa: E402
from gifqa.training.data.store import FeatureStore, TextStore  # noqa: E402


def test_rows_and_shapes_of_pictures(store, annotations):
    assert store.grid_shape == (4, 6)
    assert store.pooled_size == 5
    assert len(store.rows("world/red-0.jpg")) == 2
    assert store.grid(store.rows("world/red-1.webp")).shape == (3, 4, 6)
    assert store.pooled([0, 5]).dtype == torch.float32
    assert set(store.items) == set(annotations.captions)


def test_clips_are_told_from_photos_also_in_an_index_without_the_field(store):
    """Indices written before the field `is_clip` go by the ending of the name."""
    for item in store.items.values():
        del item["is_clip"]

    assert store.is_clip("world/red-1.webp")
    assert not store.is_clip("world/red-0.jpg")


def test_a_folder_without_features_says_which_stage_makes_them(tmp_path):
    with pytest.raises(CheckpointError, match=r"holds no vision features .* Run the stage `features` first"):
        FeatureStore(tmp_path)


def test_states_are_those_of_the_tower_and_padding_is_masked(
    texts, word_tower, make_word_tokenizer, world_texts
):
    tokenizer = make_word_tokenizer(world_texts)
    short, long = "is it red ?", "the screen is white"
    states, mask = texts.states([short, None, long])
    ids = tokenizer.encode(long).ids
    expected, sentence = word_tower(torch.tensor([ids]), torch.ones(1, len(ids)))

    assert mask.sum(1).tolist() == [4, 0, 4]
    assert states.dtype == torch.float32
    torch.testing.assert_close(states[2], expected[0], atol=2e-3, rtol=2e-3)
    torch.testing.assert_close(texts.sentence([long]), sentence, atol=2e-3, rtol=2e-3)
    assert states[1].abs().sum() == 0


def test_no_text_at_all_gives_one_place_of_padding(texts):
    states, mask = texts.states([None, None])

    assert states.shape == (2, 1, texts.size)
    assert not mask.any()


def assert_same(first, second, texts):
    assert first.index == second.index
    for one, other in zip(first.states(texts), second.states(texts), strict=True):
        assert torch.equal(one, other)
    assert torch.equal(first.sentence(texts), second.sentence(texts))


def test_a_saved_store_is_the_same_store(texts, world_texts, tmp_path):
    texts.save(tmp_path / "texts.pt")

    assert_same(TextStore.load(tmp_path / "texts.pt"), texts, world_texts)


def test_a_missing_or_damaged_store_says_which_stage_makes_it(tmp_path):
    (tmp_path / "damaged.pt").write_bytes(b"PK\x03\x04 no archive")
    for name in ("missing.pt", "damaged.pt"):
        with pytest.raises(
            CheckpointError, match=rf"{name} holds no text states .* Run the stage `texts` first"
        ):
            TextStore.load(tmp_path / name)


class CountingTower(torch.nn.Module):
    """Counts the texts it is given; stops the work after some, as a kill would."""

    def __init__(self, tower, stop_after):
        super().__init__()
        self.tower, self.stop_after, self.count = tower, stop_after, 0

    def forward(self, input_ids, attention_mask):
        self.count += len(input_ids)
        if self.count > self.stop_after:
            raise KeyboardInterrupt
        return self.tower(input_ids, attention_mask)


def test_building_goes_on_where_it_stopped(texts, word_tower, make_word_tokenizer, world_texts, tmp_path):
    tokenizer, path = make_word_tokenizer(world_texts), tmp_path / "texts.pt"
    first = CountingTower(word_tower, stop_after=10)
    with pytest.raises(KeyboardInterrupt):
        TextStore.build(first, tokenizer, world_texts, path, part_size=5)
    second = CountingTower(word_tower, stop_after=1000)
    built = TextStore.build(second, tokenizer, world_texts, path, part_size=5)

    assert second.count == len(world_texts) - 10
    assert_same(built, texts, world_texts)
    assert [file.name for file in tmp_path.iterdir() if "texts" in file.name] == ["texts.pt"]


def test_parts_of_other_texts_are_not_used(word_tower, make_word_tokenizer, world_texts, tmp_path):
    tokenizer, path = make_word_tokenizer(world_texts), tmp_path / "texts.pt"
    with pytest.raises(KeyboardInterrupt):
        TextStore.build(CountingTower(word_tower, 5), tokenizer, world_texts[:-1], path, part_size=5)
    again = CountingTower(word_tower, 1000)
    TextStore.build(again, tokenizer, ["a b", *world_texts], path, part_size=5)

    assert again.count == len(world_texts) + 1


def test_features_stay_half_precision_on_the_way(store):
    assert store.grid([0]).dtype == torch.float16
    assert isinstance(store._grid, np.memmap)
