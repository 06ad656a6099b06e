import random

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from gifqa.errors import ConfigError  # noqa: E402
from gifqa.model.dual_encoder import DualEncoderHeads  # noqa: E402
from gifqa.retrieval.config import ClipCutConfig  # noqa: E402
from gifqa.retrieval.selection import Candidates, choose  # noqa: E402
from gifqa.training.data.frame_choice import FrameChoice, HeadVectors, PooledVectors, cut_rows  # noqa: E402
from gifqa.training.data.samples import Sample  # noqa: E402
from gifqa.training.recipe import LanguageTraining  # noqa: E402

CLIP, PHOTO = "world/red-1.webp", "world/red-0.jpg"
WHAT, WHOLE = "what colour is it ?", "What is happening in the GIF?"


def ask(picture, question=WHAT):
    return Sample(picture, question, "red", "caption-open", "colour")


class Scored:
    """Vectors that make the last of a clip's three frames fit the question best, and the first next."""

    def __init__(self, store):
        self.first = store.rows(CLIP)[0]

    def frames(self, rows):
        table = np.array([[0.6, 0.8, 0], [0, 0.6, 0.8], [1, 0, 0]], np.float32)
        return table[[row - self.first for row in rows]]

    def question(self, text):
        return np.array([1, 0, 0], np.float32)


def settings(**changed):
    return LanguageTraining(num_frames=changed.pop("num_frames", 2), **changed)


def test_random_shows_one_frame_or_several_in_time_order(store):
    choice = FrameChoice(store, settings(), None)
    chance = random.Random(0)
    drawn = [choice.draw([ask(CLIP), ask(CLIP)], chance) for _ in range(100)]

    assert all(len(first) == len(second) for first, second in drawn)
    assert {len(first) for first, _ in drawn} == {1, 2}
    assert all(first == sorted(first) for first, _ in drawn)
    assert len({tuple(first) for first, _ in drawn}) > 3


def test_uniform_shows_the_frames_of_validation(store):
    choice = FrameChoice(store, settings(frame_choice="uniform"), None)
    for seed in range(5):
        assert choice.draw([ask(CLIP)], random.Random(seed)) == [choice.fixed(ask(CLIP))]
    assert len(choice.fixed(ask(CLIP))) == 2


def test_clip_cut_shows_what_the_retrieval_room_would(store):
    rows = store.rows(CLIP)
    vectors = Scored(store)
    choice = FrameChoice(store, settings(frame_choice="clip-cut"), vectors)
    embeddings = vectors.frames(rows)
    scores = embeddings @ vectors.question(WHAT)
    candidates = Candidates(scores, embeddings, np.array([0.0, 0.1, 0.2]), 0.3)
    expected = [rows[index] for index in choose(candidates, 2, ClipCutConfig(), whole=False)]

    assert expected[-1] == rows[2]
    assert choice.fixed(ask(CLIP)) == expected
    assert choice.draw([ask(CLIP)], random.Random(0)) == [expected]


def test_clip_cut_takes_the_best_frame_for_a_moment_and_the_middle_for_the_whole(store):
    rows = store.rows(CLIP)

    assert cut_rows(store, Scored(store), ask(CLIP), 1) == [rows[2]]
    assert cut_rows(store, Scored(store), ask(CLIP, WHOLE), 1) == [rows[1]]
    assert cut_rows(store, Scored(store), ask(CLIP), 3) == rows


@pytest.mark.parametrize("name", ["random", "uniform", "clip-cut"])
def test_a_photo_is_a_still_or_a_camera_move_whatever_the_choice(store, name):
    choice = FrameChoice(store, settings(frame_choice=name), Scored(store))
    chance = random.Random(1)
    counts = {len(choice.draw([ask(PHOTO)], chance)[0]) for _ in range(30)}

    assert counts == {1, 2}
    assert choice.fixed(ask(PHOTO)) == store.rows(PHOTO)[:1]


def test_a_global_part_wants_all_frames_every_time(store):
    choice = FrameChoice(store, settings(num_frames=3, global_local=1), None)
    chance = random.Random(0)

    assert all(choice.draw([ask(CLIP)], chance) == [store.rows(CLIP)] for _ in range(10))


def test_clip_cut_without_vectors_is_refused(store):
    with pytest.raises(ConfigError, match='frame_choice is "clip-cut", but there are no vectors'):
        FrameChoice(store, settings(frame_choice="clip-cut"), None)


def test_towers_of_two_models_are_refused(store, texts):
    with pytest.raises(ConfigError, match="frames have vectors of width 5 and texts of 12"):
        PooledVectors(store, texts)


def test_pooled_vectors_are_unit_vectors_of_the_caches(store, texts):
    texts.sentences = texts.sentences[:, : store.pooled_size]
    vectors = PooledVectors(store, texts)
    frames, question = vectors.frames(store.rows(CLIP)), vectors.question(WHAT)

    np.testing.assert_allclose(np.linalg.norm(frames, axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(question), 1, rtol=1e-5)
    assert frames.dtype == question.dtype == np.float32


def test_head_vectors_are_those_of_the_dual_encoder(store, texts):
    heads = DualEncoderHeads(store.grid_shape[1], store.pooled_size, texts.size).eval()
    rows = store.rows(CLIP)
    vectors = HeadVectors(heads, store, texts)
    with torch.no_grad():
        expected = heads.encode_frames(store.grid(rows).float(), store.pooled(rows)).numpy()

    np.testing.assert_allclose(vectors.frames(rows), expected, rtol=1e-5, atol=1e-6)
    assert vectors.question(WHAT).shape == (expected.shape[1],)
