"""What is wrong with a pair, in words: each rejected pair keeps its reason.

Cheap checks come first, then those on the question's parse, then the round trip, then doubles among all pairs
of a GIF. A yes/no pair is rejected whole, so that yes and no stay balanced.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from gifqa.synthesis.base import Draft
from gifqa.synthesis.config import SynthesisConfig
from gifqa.synthesis.context import ParsedCaption
from gifqa.synthesis.lexicon import Lexicon, load_lexicon
from gifqa.synthesis.nouns import Doc
from gifqa.synthesis.parsing import parse
from gifqa.synthesis.question_checks import content_problems, form_problems, grammar_problem
from gifqa.synthesis.roundtrip import agrees, find_answer


@dataclass(frozen=True)
class Pair:
    """A draft on its way through the filters."""

    draft: Draft
    """The question and its answer."""
    caption: ParsedCaption
    """The caption it was made from."""
    generator: str
    """Name of what made it."""
    partner: int | None = None
    """The two halves of a yes/no pair have one number; None for the rest."""
    reason: str | None = None
    """Why it is rejected; None while it is kept."""
    score: float | None = None
    """What the round trip said."""


@dataclass(frozen=True)
class Judge:
    """A language model's part in the filters; both functions work on batches."""

    answers: Callable[[Sequence[str], Sequence[str]], list[str]] | None = None
    """(captions, questions) -> answers, for the round trip."""
    perplexities: Callable[[Sequence[str]], list[float]] | None = None
    """Questions -> perplexity each."""


@dataclass(frozen=True)
class Filters:
    """Every check, with its settings."""

    config: SynthesisConfig
    """Which checks and how strict."""
    judge: Judge = field(default_factory=Judge)
    """The language model, when the settings ask for one."""
    lexicon: Lexicon = field(default_factory=load_lexicon)
    """Word lists."""

    def apply(self, pairs: Sequence[Pair]) -> list[Pair]:
        """The pairs of some GIFs, each with its reason or its score, in the same order."""
        checked = [replace(pair, reason=next(self._problems(pair.draft), None)) for pair in pairs]
        kept = [i for i, pair in enumerate(checked) if pair.reason is None]
        docs = parse([checked[i].draft.question for i in kept], self.config.spacy)
        for i, doc in zip(kept, docs, strict=True):
            checked[i] = self._judge(checked[i], doc)
        checked = self._with_language_model(checked)
        checked = _reject_partners(checked)
        checked = self._without_doubles(checked)
        return _limit(_reject_partners(checked), self.config.per_caption)

    def _problems(self, draft: Draft) -> Iterator[str]:
        """What the words alone show."""
        yield from form_problems(draft, self.config.max_answer_words)
        unsafe = self.config.unsafe_words
        words = self.lexicon.words("filters", "unsafe") if unsafe is None else frozenset(unsafe)
        yield from content_problems(draft, words, self.lexicon)

    def _judge(self, pair: Pair, question: Doc) -> Pair:
        problem = grammar_problem(question)
        if problem is not None:
            return replace(pair, reason=f"ungrammatical: {problem}")
        if pair.draft.answer_type == "summary" or self.config.round_trip != "rules":
            return pair
        if pair.draft.rule in ("count", "repeated-action") or pair.draft.rule.startswith("transition"):
            return replace(pair, score=1.0)
        found = find_answer(question, pair.caption, pair.draft.answer)
        if not agrees(found.answer, pair.draft.answer):
            return replace(
                pair, reason=f"round trip: the caption says {found.answer or 'nothing'}", score=found.score
            )
        return replace(pair, score=round(found.score, 4))

    def _with_language_model(self, pairs: list[Pair]) -> list[Pair]:
        kept = [i for i, pair in enumerate(pairs) if pair.reason is None]
        if self.config.max_perplexity is not None and self.judge.perplexities is not None:
            values = self.judge.perplexities([pairs[i].draft.question for i in kept])
            for i, value in zip(kept, values, strict=True):
                if value > self.config.max_perplexity:
                    pairs[i] = replace(pairs[i], reason=f"ungrammatical: perplexity {value:.0f}")
            kept = [i for i in kept if pairs[i].reason is None]
        if self.config.round_trip == "lm" and self.judge.answers is not None:
            asked = [i for i in kept if pairs[i].draft.answer_type != "summary"]
            captions = [pairs[i].caption.text for i in asked]
            answers = self.judge.answers(captions, [pairs[i].draft.question for i in asked])
            for i, answer in zip(asked, answers, strict=True):
                same = agrees(answer.lower().rstrip("."), pairs[i].draft.answer.lower())
                reason = None if same else f"round trip: the language model says {answer[:40] or 'nothing'}"
                pairs[i] = replace(pairs[i], reason=reason, score=float(same))
        return pairs

    def _without_doubles(self, pairs: list[Pair]) -> list[Pair]:
        """One answer to a question about a GIF; without `one_answer`, each answer once."""
        votes: Counter[tuple[str, str, str]] = Counter()
        for pair in pairs:
            if pair.reason is None:
                votes[_key(pair)] += 1
        best: dict[tuple[str, ...], str] = {}
        for (gif, question, answer), _ in sorted(votes.items(), key=lambda item: -item[1]):
            best.setdefault((gif, question), answer)
        seen: set[tuple[str, ...]] = set()
        for i, pair in enumerate(pairs):
            if pair.reason is not None:
                continue
            gif, question, answer = _key(pair)
            if (gif, question, answer) in seen:
                pairs[i] = replace(pair, reason="duplicate")
            elif self.config.one_answer and best[gif, question] != answer:
                pairs[i] = replace(pair, reason=f"other answer kept: {best[gif, question]}")
            else:
                seen.add((gif, question, answer))
        return pairs


def _key(pair: Pair) -> tuple[str, str, str]:
    return pair.caption.gif, pair.draft.question.lower(), pair.draft.answer.lower()


def _reject_partners(pairs: list[Pair]) -> list[Pair]:
    """Where one half of a yes/no pair is out, so is the other."""
    out = {pair.partner for pair in pairs if pair.partner is not None and pair.reason is not None}
    return [
        replace(pair, reason="its yes/no partner was rejected")
        if pair.reason is None and pair.partner in out
        else pair
        for pair in pairs
    ]


def _limit(pairs: list[Pair], per_caption: int) -> list[Pair]:
    """At most so many pairs a caption: the answer types in turn, the best score first, yes/no by pairs."""
    if per_caption == 0:
        return pairs
    by_caption: dict[int, list[int]] = {}
    for i, pair in enumerate(pairs):
        if pair.reason is None:
            by_caption.setdefault(id(pair.caption), []).append(i)
    chosen = {i for indices in by_caption.values() for i in _in_turn(indices, pairs, per_caption)}
    return [
        replace(pair, reason="over --per-caption") if pair.reason is None and i not in chosen else pair
        for i, pair in enumerate(pairs)
    ]


def _in_turn(indices: Iterable[int], pairs: Sequence[Pair], limit: int) -> set[int]:
    queues: dict[str, list[list[int]]] = {}
    partners: dict[int, list[int]] = {}
    for i in sorted(indices, key=lambda i: (-(pairs[i].score or 0.0), i)):
        partner = pairs[i].partner
        if partner is None:
            queues.setdefault(pairs[i].draft.answer_type, []).append([i])
        elif partner in partners:
            partners[partner].append(i)
        else:
            partners[partner] = [i]
            queues.setdefault("yes/no", []).append(partners[partner])
    chosen: set[int] = set()
    while any(queues.values()):
        for queue in queues.values():
            if queue and len(chosen) + len(queue[0]) <= limit:
                chosen.update(queue.pop(0))
            elif queue:
                queue.clear()
    return chosen
