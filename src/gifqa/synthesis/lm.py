"""Questions worded by a causal language model, shown a few examples, and kept from saying the answer.

    Caption: a man in a red hat is riding a horse on the beach
    Answer: horse
    Question:                                  -> What is the man riding on the beach?

The model is the shipped one (`lite`), a Hugging Face id or folder, or a `.gguf` file. It can be a judge as
well: answer a question from the caption (round trip), and say how likely a question is (perplexity).
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from gifqa.errors import CheckpointError
from gifqa.extras import require
from gifqa.synthesis.base import Draft, draft_of
from gifqa.synthesis.candidates import Candidate, find_candidates
from gifqa.synthesis.context import ParsedCaption
from gifqa.synthesis.filters import Judge

LITE = "lite"
_ASKED_ROLES = frozenset({"noun", "action", "place", "colour", "number", "attribute"})
_MAX_NEW_TOKENS = 24
_BATCH = 32

_SHOTS = (
    ("a man in a red hat is riding a horse on the beach", "horse", "What is the man riding on the beach?"),
    ("two dogs are playing with a blue ball in the snow", "two", "How many dogs are playing in the snow?"),
    ("a girl in a pink dress is dancing on a stage", "pink", "What color is the girl's dress?"),
    (
        "a woman is cutting vegetables in a kitchen",
        "cutting vegetables",
        "What is the woman doing in the kitchen?",
    ),
    ("a boy jumps into a pool", "boy", "Who jumps into a pool?"),
    ("a cat is sleeping on a couch next to a lamp", "on a couch", "Where is the cat sleeping?"),
)
_OPENERS = {"person": "Who", "place": "Where", "number": "How many", "colour": "What color", "animal": "What"}
_ANSWER_SHOTS = (
    ("a man in a red hat is riding a horse on the beach", "What is the man riding?", "horse"),
    ("two dogs are playing with a blue ball in the snow", "How many dogs are there?", "two"),
    ("a girl is dancing on a stage", "Is the girl sleeping?", "no"),
    ("a cat is sleeping on a couch", "Where is the cat?", "on a couch"),
)


class Completer(Protocol):
    """Continues prompts; what a language model has to do here."""

    def complete(self, prompts: Sequence[str], banned: Sequence[str]) -> list[str]:
        """The rest of the line behind each prompt.

        Args:
            prompts: the prompts.
            banned: one text a prompt that must not be said; an empty one bans nothing.
        """
        ...


def question_prompt(caption: str, candidate: Candidate) -> str:
    """The prompt that asks for a question; it ends in the question's first word, by the answer's type."""
    shots = "".join(f"Caption: {c}\nAnswer: {a}\nQuestion: {q}\n\n" for c, a, q in _SHOTS)
    opener = _OPENERS.get(candidate.answer_type, "What")
    return f"{shots}Caption: {caption}\nAnswer: {candidate.answer}\nQuestion: {opener}"


def answer_prompt(caption: str, question: str) -> str:
    """The prompt that asks for an answer."""
    shots = "".join(f"Caption: {c}\nQuestion: {q}\nAnswer: {a}\n\n" for c, q, a in _ANSWER_SHOTS)
    return f"{shots}Caption: {caption}\nQuestion: {question}\nAnswer:"


def tidy_question(text: str) -> str:
    """The question in what a model wrote: its first line up to the first question mark, or ""."""
    line = text.strip().split("\n", maxsplit=1)[0]
    head, mark, _ = line.partition("?")
    return " ".join(head.split()) + "?" if mark and head.strip() else ""


def asked_candidates(caption: ParsedCaption) -> list[Candidate]:
    """The candidates that a model is asked about, each answer once."""
    unique: dict[str, Candidate] = {}
    for candidate in find_candidates(caption):
        if candidate.role in _ASKED_ROLES:
            unique.setdefault(candidate.answer, candidate)
    return list(unique.values())


@dataclass(frozen=True)
class LanguageModelGenerator:
    """Asks for each candidate with an answer-aware prompt."""

    name: str
    """The name in the records."""
    completer: Completer
    """The language model; any object that completes prompts."""

    @classmethod
    def load(cls, model: str) -> "LanguageModelGenerator":
        """A generator on `lite`, a Hugging Face id or folder, or a .gguf file.

        Raises:
            CheckpointError: if the model cannot be loaded.
            MissingExtra: if transformers is needed and not installed.
        """
        return cls(f"lm:{Path(model).stem if model != LITE else LITE}", load_completer(model))

    def drafts(self, captions: Sequence[ParsedCaption], seed: int) -> list[list[Draft]]:
        """The questions of each caption; see `QuestionGenerator`. Greedy, so the seed is not used."""
        del seed
        asked = [(index, c) for index, caption in enumerate(captions) for c in asked_candidates(caption)]
        prompts = [question_prompt(captions[index].text, candidate) for index, candidate in asked]
        replies = self.completer.complete(prompts, [candidate.answer for _, candidate in asked])
        found: list[list[Draft]] = [[] for _ in captions]
        for (index, candidate), reply in zip(asked, replies, strict=True):
            question = tidy_question(f"{_OPENERS.get(candidate.answer_type, 'What')} {reply}")
            if question:
                found[index].append(draft_of(candidate, question, candidate.role))
        return found


def one_line(error: Exception) -> str:
    """What a library says, on one line and not too long."""
    return " ".join(str(error).split())[:200]


def load_completer(model: str) -> Completer:
    """The language model that a name stands for."""
    return BundleLanguageModel.load() if model == LITE else HuggingFaceLanguageModel.load(model)


def load_judge(model: str) -> Judge:
    """A language model as a judge of pairs.

    Raises:
        CheckpointError: if the model cannot be loaded, or is `lite`, which gives no perplexity.
    """
    if model == LITE:
        completer: Completer = BundleLanguageModel.load()
        return Judge(answers=_answerer(completer))
    language_model = HuggingFaceLanguageModel.load(model)
    return Judge(answers=_answerer(language_model), perplexities=language_model.perplexities)


def _answerer(completer: Completer) -> Callable[[Sequence[str], Sequence[str]], list[str]]:
    def answers(captions: Sequence[str], questions: Sequence[str]) -> list[str]:
        prompts = [answer_prompt(c, q) for c, q in zip(captions, questions, strict=True)]
        return [
            text.strip().split("\n", maxsplit=1)[0].strip()
            for text in completer.complete(prompts, [""] * len(prompts))
        ]

    return answers


@dataclass(frozen=True)
class BundleLanguageModel:
    """The language model of the shipped bundle, on ONNX Runtime."""

    runtime: Any = field(repr=False)
    """`gifqa.answering.lite.LiteRuntime`: has `tokenizer` and `decoder`."""

    @classmethod
    def load(cls) -> "BundleLanguageModel":
        """The shipped bundle's.

        Raises:
            CheckpointError: if the bundle is missing or damaged.
        """
        from gifqa.answering.bundle import Bundle
        from gifqa.answering.lite import LiteRuntime

        return cls(LiteRuntime(Bundle()))

    def complete(self, prompts: Sequence[str], banned: Sequence[str]) -> list[str]:
        """The rest of the line behind each prompt; see `Completer`.

        Several beams are searched and the first without the banned text is taken, "" when all have it.
        """
        tokenizer, decoder = self.runtime.tokenizer, self.runtime.decoder
        texts = []
        for prompt, ban in zip(prompts, banned, strict=True):
            prefix = decoder.read(decoder.embed(tokenizer.encode(prompt).ids))
            found = decoder.search(prefix, 4 if ban else 1, _MAX_NEW_TOKENS)
            lines = [tokenizer.decode(list(c.tokens)).strip().split("\n", maxsplit=1)[0] for c in found]
            texts.append(next((line for line in lines if not ban or ban.lower() not in line.lower()), ""))
        return texts


@dataclass(frozen=True)
class HuggingFaceLanguageModel:
    """A causal language model of `transformers`, greedy and batched."""

    model: Any = field(repr=False)
    """The model."""
    tokenizer: Any = field(repr=False)
    """Its tokenizer, padding on the left."""

    @classmethod
    def load(cls, source: str) -> "HuggingFaceLanguageModel":
        """From an id, a folder or a .gguf file.

        Raises:
            MissingExtra: if transformers is not installed.
            CheckpointError: if it cannot load the model.
        """
        transformers = require("transformers", "hf")
        path = Path(source)
        where, gguf = (str(path.parent), path.name) if path.suffix == ".gguf" else (source, None)
        try:
            tokenizer = transformers.AutoTokenizer.from_pretrained(where, gguf_file=gguf, padding_side="left")
            model = transformers.AutoModelForCausalLM.from_pretrained(where, gguf_file=gguf)
        except (OSError, ValueError, KeyError, ImportError) as error:
            raise CheckpointError(
                f"{source} cannot be loaded as a causal language model ({one_line(error)}); a Hugging "
                "Face id, its folder or a .gguf file is needed. Check the name given with --model or --judge."
            ) from error
        if tokenizer.pad_token_id is None:
            tokenizer.pad_token = tokenizer.eos_token
        return cls(model.eval().requires_grad_(False), tokenizer)

    def complete(self, prompts: Sequence[str], banned: Sequence[str]) -> list[str]:
        """The rest of the line behind each prompt; see `Completer`."""
        texts: list[str] = []
        for start in range(0, len(prompts), _BATCH):
            batch = self.tokenizer(list(prompts[start : start + _BATCH]), return_tensors="pt", padding=True)
            width = batch["input_ids"].shape[1]
            processors = [_Ban([self._forms(text) for text in banned[start : start + _BATCH]], width)]
            output = self.model.generate(
                input_ids=batch["input_ids"],
                attention_mask=batch["attention_mask"],
                max_new_tokens=_MAX_NEW_TOKENS,
                do_sample=False,
                logits_processor=processors,
                pad_token_id=self.tokenizer.pad_token_id,
            )
            texts += self.tokenizer.batch_decode(output[:, width:], skip_special_tokens=True)
        return [text.strip().split("\n", maxsplit=1)[0] for text in texts]

    def _forms(self, text: str) -> list[list[int]]:
        """Token sequences that spell a text, within a line and at its start."""
        forms = (f" {text}", text, f" {text.capitalize()}", text.capitalize()) if text else ()
        return [self.tokenizer(form, add_special_tokens=False)["input_ids"] for form in forms]

    def perplexities(self, texts: Sequence[str]) -> list[float]:
        """Exp of the mean negative log-likelihood of each text's tokens behind its first one."""
        values = []
        for text in texts:
            ids = self.tokenizer(text, return_tensors="pt")["input_ids"]
            if ids.shape[1] < 2:
                values.append(math.inf)
                continue
            loss = float(self.model(input_ids=ids, labels=ids).loss)
            values.append(math.exp(min(loss, 50.0)))
        return values


class _Ban:
    """A logits processor: row i may not complete any of the token sequences of row i."""

    def __init__(self, banned: Sequence[Sequence[Sequence[int]]], prompt_width: int) -> None:
        self._banned = banned
        self._prompt_width = prompt_width

    def __call__(self, input_ids: Any, scores: Any) -> Any:
        for row, sequences in enumerate(self._banned):
            said = input_ids[row, self._prompt_width :].tolist()
            for sequence in sequences:
                begun = list(sequence[:-1])
                if sequence and said[len(said) - len(begun) :] == begun and len(said) >= len(begun):
                    scores[row, sequence[-1]] = -math.inf
        return scores
