"""A checkpoint of training by its folder, wherever a model is named: `gifqa ask`, `gifqa evaluate`."""

import json

import pytest

torch = pytest.importorskip("torch")
for needed in ("transformers", "tokenizers", "peft"):
    pytest.importorskip(needed)

from gifqa.evaluation.config import FRAME_BASELINES, EvaluationConfig  # noqa: E402
from gifqa.evaluation.run import run_evaluation  # noqa: E402
from gifqa.model.checkpoint_saving import save_pretrained  # noqa: E402
from gifqa.model.opening import open_qa  # noqa: E402
from gifqa.retrieval.config import ClipCutConfig  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing.*:FutureWarning")
QUESTIONS = ("is it red ?", "what colour is it ?")


@pytest.fixture
def checkpoint(make_seed, tmp_path):
    """The folder of one that reads two frames."""
    save_pretrained(make_seed("mlp"), tmp_path / "checkpoint")
    return tmp_path / "checkpoint"


@pytest.fixture
def config(checkpoint, make_gif, tmp_path):
    """`config(baseline)`: the checkpoint on two questions about one GIF."""
    media = make_gif(["red", "green", "blue", "white", "black"])
    lines = [{"gif": media.name, "question": question, "answer": "yes"} for question in QUESTIONS]
    annotations = tmp_path / "own.jsonl"
    annotations.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")

    def make(baseline=None):
        return EvaluationConfig(
            benchmark="own", annotations=annotations, media=media.parent, model=str(checkpoint),
            baseline=baseline, output=tmp_path / f"run-{baseline}", num_resamples=10,
        )  # fmt: skip

    return make


def test_evaluate_answers_as_ask_does(config, checkpoint):
    predictions = run_evaluation(config()).predictions
    qa = open_qa(str(checkpoint))

    for prediction, question in zip(predictions, QUESTIONS, strict=True):
        answer = qa.ask(config().media / "clip.gif", question)
        assert (prediction.text, prediction.error) == (answer.text, None)
        assert prediction.confidence == pytest.approx(answer.confidence, abs=1e-5)
        assert [frame["index"] for frame in prediction.keyframes] == answer.keyframes.indices.tolist()
        assert len(prediction.keyframes) == 2


@pytest.mark.parametrize("baseline", FRAME_BASELINES)
def test_every_baseline_of_frames_can_be_put_to_a_checkpoint(config, baseline):
    predictions = run_evaluation(config(baseline)).predictions

    assert [(bool(prediction.text), prediction.error) for prediction in predictions] == [(True, None)] * 2


def test_keyframes_are_as_many_as_it_reads_unless_told(checkpoint, make_gif):
    media = make_gif(["red", "green", "blue", "white", "black"])
    of_default = ClipCutConfig().model_copy(update={"strategy": "uniform"})

    assert len(open_qa(str(checkpoint), clip_cut=of_default).keyframes(media, "red")) == 2
    assert len(open_qa(str(checkpoint), clip_cut=ClipCutConfig(top_k=3)).keyframes(media, "red")) == 3


def test_a_checkpoint_answers_from_captions_too(checkpoint, make_gif):
    """The approach was dropped, and the frames answered from, without a word."""
    answer = open_qa(str(checkpoint), approach="captions").ask(make_gif(["red", "blue"]), "is it red ?")

    assert len(answer.captions) == len(answer.keyframes)
