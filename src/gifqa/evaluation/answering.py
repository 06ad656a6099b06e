"""Questions to predictions: guesses in this process, models through the engine's shards."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from gifqa.answering.base import Answer, keyframes_to_list
from gifqa.errors import ConfigError, MediaError
from gifqa.evaluation.baselines import Guesser, RandomGuesser
from gifqa.evaluation.journal import journal_of, read_journal, read_shard
from gifqa.evaluation.predictions import PREDICTIONS, Prediction, write_predictions
from gifqa.evaluation.questions import Question
from gifqa.evaluation.views import View, Viewer, clip_cut_for
from gifqa.limits import MediaLimits
from gifqa.model.opening import open_qa
from gifqa.pipeline import GifQA
from gifqa.retrieval.config import ClipCutConfig

MakeQA = Callable[[ClipCutConfig], GifQA]
"""Makes the pipeline with these retrieval settings, in whichever process answers; picklable."""


def model_maker(model: str, encoder: str | None, limits: MediaLimits) -> MakeQA:
    """The maker of a model by its name, as `gifqa.model.opening.open_qa` takes it."""
    return partial(_make_qa, model, encoder, limits)


def _make_qa(model: str, encoder: str | None, limits: MediaLimits, clip_cut: ClipCutConfig) -> GifQA:
    return open_qa(model, limits=limits, clip_cut=clip_cut, encoder=encoder)


def guess_all(guesser: Guesser, questions: Iterable[Question]) -> list[Prediction]:
    """The guesses of a baseline that looks at no media."""
    predictions = []
    for question in questions:
        guess = guesser.guess(question)
        expected = guesser.expected_score(question) if isinstance(guesser, RandomGuesser) else None
        predictions.append(Prediction(question, guess.text, guess.confidence, expected_score=expected))
    return predictions


@dataclass(frozen=True)
class AnswerShard:
    """The engine's function: answers the questions of one shard file.

    The model is made once a process, with the first shard that the process gets.
    """

    make_qa: MakeQA
    view: View
    run: str
    """The run's fingerprint: shards of one run share the model."""
    top_k: int | None = None
    seed: int = 0

    def __call__(self, source: Path, folder: Path) -> dict[str, Any]:
        """Read questions with their media from `source`, write predictions into `folder`.

        Each answer goes into the shard's journal at once, and those that a stopped run left there are kept.
        """
        known = {prediction.question.id: prediction for prediction in read_journal(source)}
        predictions = []
        with journal_of(source).open("a", encoding="utf-8") as journal:
            journal.write("\n")
            for question, path in read_shard(source):
                prediction = known.get(question.id)
                if prediction is None:
                    prediction = answer_question(self._viewer(), question, path)
                    journal.write(prediction.to_json() + "\n")
                    journal.flush()
                predictions.append(prediction)
        write_predictions(folder / PREDICTIONS, predictions)
        failed = sum(prediction.error is not None for prediction in predictions)
        return {"answered": len(predictions) - failed, "failed": failed}

    def _viewer(self) -> Viewer:
        key = (self.run, self.view, self.top_k, self.seed)
        if key not in _VIEWERS:
            qa = self.make_qa(clip_cut_for(self.view, ClipCutConfig()))
            _VIEWERS.clear()
            _VIEWERS[key] = Viewer(qa, self.view, top_k=self.top_k, seed=self.seed)
        return _VIEWERS[key]


_VIEWERS: dict[tuple[str, str, int | None, int], Viewer] = {}
"""The one viewer of this process, kept between shards."""


def forget_models() -> None:
    """Let go of the model that this process holds for its shards, when a run is over."""
    _VIEWERS.clear()


def answer_question(viewer: Viewer, question: Question, path: Path) -> Prediction:
    """The prediction for one question; unreadable media and questions that cannot be asked give errors.

    Raises:
        GifQAError: if the model fails, which would fail every question after it too.
    """
    try:
        answer = viewer.answer(path, question.question or _DESCRIBE, _asker(question))
    except (MediaError, ConfigError) as error:
        return Prediction(question, error=str(error))
    keyframes = answer.keyframes
    return Prediction(
        question=question,
        text=answer.text,
        confidence=answer.confidence,
        alternatives=tuple((other.answer, other.confidence) for other in answer.alternatives),
        keyframes=tuple(keyframes_to_list(keyframes)),
        duration_seconds=float(keyframes.duration_seconds),
        timings=dict(answer.timings),
        warnings=answer.warnings,
    )


_DESCRIBE = "What happens in the whole GIF?"


def _asker(question: Question) -> Callable[[GifQA, Any, int | None], Answer]:
    """How the question is put: as a choice, openly, as a description, or to the retrieval alone."""

    def ask(qa: GifQA, media: Any, top_k: int | None) -> Answer:
        if question.task == "caption":
            return qa.describe(media, top_k)
        if question.task == "retrieval":
            return Answer("", None, (), qa.keyframes(media, question.question, top_k), "CLIP-Cut")
        return qa.ask(media, question.question, distinct_options(question.options), top_k)

    return ask


def distinct_options(options: Sequence[str] | None) -> list[str] | None:
    """The options without repetitions: TGIF-QA has questions with one option twice.

    A single option that is left is asked about openly.
    """
    if options is None:
        return None
    distinct = list({" ".join(option.split()).casefold(): option for option in reversed(options)}.values())[
        ::-1
    ]
    return distinct if len(distinct) > 1 else None


def check_view(view: View, questions: Iterable[Question]) -> None:
    """Refuse a baseline of frames that makes no sense for the task.

    Raises:
        ConfigError: if frames are handed over whose order or place is not the source's, to measure retrieval.
    """
    if view in ("blank-frame", "shuffled-frames") and any(q.task == "retrieval" for q in questions):
        raise ConfigError(
            f"--baseline {view} was given for retrieval; it changes what frames show, not which are chosen. "
            "Take uniform-frames, top-frames, middle-frame or original-frames."
        )
