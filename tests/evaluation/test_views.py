"""What a model is shown by the baselines of frames: on GIFs where each frame has a colour of its own."""

import numpy as np
import pytest

from gifqa.errors import ConfigError
from gifqa.evaluation.answering import AnswerShard, answer_question, check_view
from gifqa.evaluation.questions import Question
from gifqa.evaluation.views import VIEWS, Viewer, clip_cut_for
from gifqa.retrieval.config import ClipCutConfig

COLOURS = ["red", "green", "blue", "yellow", "cyan", "magenta", "white", "black"]


@pytest.fixture
def look(make_gif, make_qa, fake_answerer):
    """`look(view, question, colours)`: the prediction, with the pixels that the model saw in `.seen`."""
    fake_answerer.needs_pixels = True

    def look_at(view, question="Is it cyan?", colours=COLOURS, top_k=4):
        path = make_gif(colours, 100, name="v.gif")
        qa = make_qa(clip_cut_for(view, ClipCutConfig()))
        asked = Question("q1", "open", question, ("x",), ("v",))
        prediction = answer_question(Viewer(qa, view, top_k=top_k), asked, path)
        assert prediction.error is None, prediction.error
        return prediction, fake_answerer.calls[-1]["pixels"][:, 0, 0].tolist()

    return look_at


def indices(prediction):
    return [keyframe["index"] for keyframe in prediction.keyframes]


def test_uniform_frames_are_the_same_for_every_question(look):
    one, _ = look("uniform-frames", "Is it cyan?")
    other, _ = look("uniform-frames", "Is it red?")
    assert indices(one) == indices(other)
    assert len(indices(one)) == 4


def test_top_frames_have_the_best_scores_of_all(look):
    top, _ = look("top-frames", "Is it cyan?", top_k=1)
    assert indices(top) == [COLOURS.index("cyan")]


def test_the_middle_frame_is_one_from_the_middle(look):
    prediction, seen = look("middle-frame")
    assert indices(prediction) == [4]
    assert seen == [[0, 255, 255]]
    assert prediction.keyframes[0]["pts_seconds"] == pytest.approx(0.4)


def test_shuffled_frames_are_those_of_clip_cut_in_another_order(look):
    straight, _ = look("clip-cut", "Which colours are there?")
    shuffled, seen = look("shuffled-frames", "Which colours are there?")
    assert sorted(indices(shuffled)) == indices(straight)
    assert indices(shuffled) != indices(straight)
    assert len(seen) == len(indices(shuffled))
    again, _ = look("shuffled-frames", "Which colours are there?")
    assert indices(again) == indices(shuffled)


def test_a_blank_frame_is_grey(look):
    prediction, seen = look("blank-frame")
    assert seen == [[128, 128, 128]]
    assert prediction.keyframes == ()


def test_the_original_takes_every_second_frame_swaps_channels_and_ranks_by_score(look):
    """The original fed the retriever blue for red; a question about blue finds the red frame first."""
    prediction, seen = look("original-frames", "Is it blue?")
    assert all(index % 2 == 0 for index in indices(prediction))
    assert indices(prediction)[0] == COLOURS.index("red")
    assert seen[0] == [0, 0, 255]
    assert len(prediction.keyframes) == 3


def test_the_original_repeats_the_last_frame_of_a_short_gif(look):
    prediction, _ = look("original-frames", "Is it red?", ["blue", "green"])
    assert indices(prediction) == [0, 0, 0]


@pytest.mark.parametrize("view", VIEWS)
def test_every_view_works_on_one_frame(look, view):
    prediction, seen = look(view, "Is it red?", ["red"])
    assert len(seen) == 1
    assert prediction.text


@pytest.mark.parametrize("view", ["blank-frame", "shuffled-frames"])
def test_views_that_choose_no_frames_do_not_measure_retrieval(view):
    asked = Question("1", "retrieval", "When?", (), ("g",), span=(0.0, 1.0))
    with pytest.raises(ConfigError, match=rf"--baseline {view} was given for retrieval"):
        check_view(view, [asked])


def test_a_process_makes_the_model_once_for_all_shards(make_qa, make_gif, tmp_path):
    made = []

    def counted(clip_cut):
        made.append(clip_cut)
        return make_qa(clip_cut)

    from gifqa.evaluation.journal import shard_line

    path = make_gif(["red", "green"], name="s.gif")
    asked = Question("q1", "open", "What?", ("x",), ("s",))
    (tmp_path / "source").write_text(shard_line(asked, path) + "\n", encoding="utf-8")
    shard = AnswerShard(counted, "uniform-frames", "the run")
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        assert shard(tmp_path / "source", tmp_path / name) == {"answered": 1, "failed": 0}
    assert [config.strategy for config in made] == ["uniform"]
    assert np.all([(tmp_path / name / "predictions.jsonl").exists() for name in ("a", "b")])
