"""A language model as the judge of answers, after Video-ChatGPT's protocol; never the only figure.

The protocol asks for yes or no and a score of 0 to 5 for each answer (Maaz et al., 2023,
https://arxiv.org/abs/2306.05424). Judges drift: the same predictions got 35 % and 44 % from two versions of
one hosted model. So every verdict is kept with the model's own name for itself, may be asked for several
times, and agreement, unusable replies and tokens are reported beside the score.
"""

import ast
import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol, Self

from gifqa.errors import CheckpointError, ConfigError
from gifqa.evaluation.predictions import Prediction
from gifqa.evaluation.statistics import Interval, bootstrap_mean

SYSTEM_PROMPT = (
    "You are an intelligent chatbot designed for evaluating the correctness of generative outputs for "
    "question-answer pairs. Your task is to compare the predicted answer with the correct answer and "
    "determine if they match meaningfully. Here's how you can accomplish the task:------##INSTRUCTIONS: "
    "- Focus on the meaningful match between the predicted answer and the correct answer.\n"
    "- Consider synonyms or paraphrases as valid matches.\n"
    "- Evaluate the correctness of the prediction compared to the answer."
)
USER_PROMPT = (
    "Please evaluate the following video-based question-answer pair:\n\n"
    "Question: {question}\nCorrect Answer: {answer}\nPredicted Answer: {prediction}\n\n"
    "Provide your evaluation only as a yes/no and score where the score is an integer value between 0 and 5, "
    "with 5 indicating the highest meaningful match. Please generate the response in the form of a Python "
    "dictionary string with keys 'pred' and 'score', where value of 'pred' is  a string of 'yes' or 'no' and "
    "value of 'score' is in INTEGER, not STRING.DO NOT PROVIDE ANY OTHER OUTPUT TEXT OR EXPLANATION. Only "
    "provide the Python dictionary string. For example, your response should look like this: "
    "{{'pred': 'yes', 'score': 4.8}}."
)
"""Both as published, so that scores are comparable with papers that used them."""
MAX_TRIES = 3
"""How often an unusable reply is asked for again."""
_TIMEOUT_SECONDS = 60.0
_DICTIONARY = re.compile(r"\{[^{}]*\}")


@dataclass(frozen=True)
class Exchange:
    """A server's reply."""

    text: str
    model: str
    """What the server says it ran."""
    tokens: int


class Judge(Protocol):
    """Something that answers a chat."""

    name: str

    def ask(self, system: str, user: str) -> Exchange:
        """The reply to a system and a user message."""
        ...


@dataclass(frozen=True)
class Verdict:
    """What the judge said of one answer; `is_right` None when no reply could be used."""

    key: str
    id: str
    repeat: int
    is_right: bool | None
    score: float | None
    model: str
    tokens: int


@dataclass(frozen=True)
class Judgement:
    """The judge's figures for a run."""

    accuracy: Interval
    score: Interval
    """0..5."""
    agreement: float
    """Share of pairs of verdicts on one answer that say the same; 1 with one verdict each."""
    unusable: int
    """Verdicts without a usable reply; they count as "no" and 0."""
    tokens: int
    models: tuple[str, ...]
    """What the server said it ran; more than one means that the judge changed on the way."""

    def to_dict(self) -> dict[str, Any]:
        """As plain values."""
        scores = {"accuracy": self.accuracy.to_dict(), "score": self.score.to_dict()}
        return {**asdict(self), **scores, "models": list(self.models)}


class RemoteJudge:
    """A judge behind an OpenAI-compatible server; the key comes from OPENAI_API_KEY, if it needs one."""

    def __init__(self, base_url: str, model: str, api_key: str | None = None) -> None:
        """Open a connection; nothing is sent yet."""
        import httpx

        headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self.name = model
        self._client = httpx.Client(base_url=base_url, headers=headers, timeout=_TIMEOUT_SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._client.close()

    def ask(self, system: str, user: str) -> Exchange:
        """One chat completion at temperature 0.

        Raises:
            CheckpointError: if the server cannot be reached, refuses, or does not speak the protocol.
        """
        import httpx

        messages = [{"role": "system", "content": system}, {"role": "user", "content": user}]
        try:
            response = self._client.post(
                "/chat/completions", json={"model": self.name, "messages": messages, "temperature": 0}
            )
            response.raise_for_status()
            reply = response.json()
            text = reply["choices"][0]["message"]["content"] or ""
            tokens = int((reply.get("usage") or {}).get("total_tokens") or 0)
            return Exchange(str(text), str(reply.get("model") or self.name), tokens)
        except httpx.HTTPError as error:
            reason = str(error).partition("\n")[0]
            raise CheckpointError(
                f"the judge {self.name} at {self._client.base_url} does not answer ({reason}); verdicts so "
                "far are kept. Check the server and the key in OPENAI_API_KEY, then run again."
            ) from error
        except (ValueError, KeyError, IndexError, TypeError) as error:
            raise CheckpointError(
                f"the judge at {self._client.base_url} sent no chat completion ({error!r}); an "
                "OpenAI-compatible server is needed. Check the address: it ends in /v1."
            ) from error


def make_judge(server: str) -> RemoteJudge:
    """The judge of `URL#MODEL`.

    Raises:
        ConfigError: if the address has no model or is no URL.
    """
    import os

    url, _, model = server.partition("#")
    if not url.startswith(("http://", "https://")) or not model:
        raise ConfigError(
            f"--judge is {server!r}; it is written http(s)://HOST/v1#MODEL. Add what is missing."
        )
    return RemoteJudge(url.rstrip("/"), model, os.environ.get("OPENAI_API_KEY"))


def judge_answers(
    judge: Judge, predictions: Sequence[Prediction], cache: Path, *, repeats: int = 1, seed: int = 0
) -> Judgement:
    """Have every answer judged; verdicts that the cache holds are not asked for again.

    Args:
        judge: the model.
        predictions: answers to questions, at least one.
        cache: JSONL file of verdicts, made when missing and added to one by one.
        repeats: verdicts an answer.
        seed: of the intervals.

    Returns:
        The figures.

    Raises:
        ConfigError: if there is nothing to judge.
        CheckpointError: if the server fails; verdicts so far are kept.
    """
    asked = [p for p in predictions if p.question.task in ("open", "choice", "count")]
    if not asked:
        raise ConfigError(
            "--judge was given for captions or retrieval; it judges answers to questions. Leave it out."
        )
    held = {verdict.key: verdict for verdict in _read(cache)}
    verdicts: list[list[Verdict]] = []
    with cache.open("a", encoding="utf-8") as file:
        for prediction in asked:
            row = []
            for repeat in range(repeats):
                key = _key(judge.name, prediction, repeat)
                if key not in held:
                    held[key] = _verdict(judge, prediction, repeat, key)
                    file.write(json.dumps(asdict(held[key])) + "\n")
                    file.flush()
                row.append(held[key])
            verdicts.append(row)
    return _summarise(verdicts, [prediction.question.gif for prediction in asked], seed)


def parse_verdict(reply: str) -> tuple[bool, float] | None:
    """Yes or no and the score, from the dictionary in a reply; None when there is no usable one.

    Read with `ast.literal_eval`, as the protocol's own script does, but only what is between braces; a score
    outside 0..5 and a word other than yes and no are unusable.
    """
    found = _DICTIONARY.search(reply)
    try:
        fields = ast.literal_eval(found.group()) if found else None
        word, score = str(fields["pred"]).strip().lower(), float(fields["score"])  # type: ignore[index]
    except (ValueError, SyntaxError, KeyError, TypeError, MemoryError, RecursionError):
        return None
    return (word == "yes", score) if word in ("yes", "no") and 0 <= score <= 5 else None


def _verdict(judge: Judge, prediction: Prediction, repeat: int, key: str) -> Verdict:
    question = prediction.question
    user = USER_PROMPT.format(question=question.question, answer=question.answer, prediction=prediction.text)
    tokens, model = 0, judge.name
    for _ in range(MAX_TRIES):
        exchange = judge.ask(SYSTEM_PROMPT, user)
        tokens, model = tokens + exchange.tokens, exchange.model
        if parsed := parse_verdict(exchange.text):
            return Verdict(key, question.id, repeat, parsed[0], parsed[1], model, tokens)
    return Verdict(key, question.id, repeat, None, None, model, tokens)


def _key(name: str, prediction: Prediction, repeat: int) -> str:
    question = prediction.question
    text = json.dumps([name, question.question, question.answer, prediction.text, repeat])
    return hashlib.sha256(text.encode()).hexdigest()


def _read(cache: Path) -> Iterable[Verdict]:
    """The verdicts of a cache; lines that a stop cut off are asked for again."""
    if not cache.exists():
        return
    for line in cache.read_text(encoding="utf-8").splitlines():
        try:
            yield Verdict(**json.loads(line))
        except (ValueError, TypeError):
            continue


def _summarise(verdicts: Sequence[Sequence[Verdict]], gifs: Sequence[str], seed: int) -> Judgement:
    right = [sum(bool(v.is_right) for v in row) / len(row) for row in verdicts]
    scores = [sum(v.score or 0.0 for v in row) / len(row) for row in verdicts]
    pairs = [
        one.is_right == other.is_right
        for row in verdicts
        for n, one in enumerate(row)
        for other in row[n + 1 :]
    ]
    everything = [verdict for row in verdicts for verdict in row]
    return Judgement(
        accuracy=bootstrap_mean(right, gifs, seed=seed),
        score=bootstrap_mean(scores, gifs, seed=seed),
        agreement=sum(pairs) / len(pairs) if pairs else 1.0,
        unusable=sum(verdict.is_right is None for verdict in everything),
        tokens=sum(verdict.tokens for verdict in everything),
        models=tuple(sorted({verdict.model for verdict in everything})),
    )
