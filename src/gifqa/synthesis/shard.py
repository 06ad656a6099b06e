"""One shard of captions into pairs, kept and rejected: what the engine's workers run."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gifqa.data.records import QARecord, as_row, record_id
from gifqa.engine import Summary
from gifqa.synthesis.base import Draft
from gifqa.synthesis.checks import caption_problem, summary_draft
from gifqa.synthesis.config import SynthesisConfig
from gifqa.synthesis.context import ParsedCaption, context_of
from gifqa.synthesis.exchange import yes_no_drafts
from gifqa.synthesis.filters import Filters, Pair
from gifqa.synthesis.generators import make_generator, make_judge
from gifqa.synthesis.lexicon import load_lexicon
from gifqa.synthesis.partition import Group, read_part
from gifqa.synthesis.repair import Edit, parse_captions
from gifqa.synthesis.temporal import events_of, temporal_drafts
from gifqa.synthesis.triples import TripleGenerator

Rejected = dict[str, Any]


@dataclass(frozen=True)
class SynthesisShard:
    """The engine's function: reads a part of the input, writes kept.jsonl and rejected.jsonl."""

    config: SynthesisConfig
    """What to ask and what to keep."""

    def __call__(self, source: Path, folder: Path) -> Summary:
        """Make the pairs of one part; see `gifqa.engine.ShardFunction`."""
        groups = read_part(source)
        kept, rejected = synthesize_groups(groups, self.config)
        with (folder / "kept.jsonl").open("w", encoding="utf-8") as stream:
            for record in kept:
                stream.write(json.dumps(as_row(record), ensure_ascii=False) + "\n")
        with (folder / "rejected.jsonl").open("w", encoding="utf-8") as stream:
            for row in rejected:
                stream.write(json.dumps(row, ensure_ascii=False) + "\n")
        return {
            "gifs": len(groups),
            "captions": sum(len(group.captions) for group in groups),
            "gifs_in_several_rows": sum(group.num_rows > 1 for group in groups),
            "kept": len(kept),
            "rejected": len(rejected),
        }


def synthesize_groups(
    groups: Sequence[Group], config: SynthesisConfig
) -> tuple[list[QARecord], list[Rejected]]:
    """The pairs of some GIFs: the records that pass every filter, and the rest with reasons.

    The result for a GIF depends on its captions, the settings and, for distractors and yes/no questions, the
    other GIFs given.
    """
    lexicon = load_lexicon()
    rejected: list[Rejected] = []
    texts: list[tuple[Group, str]] = []
    for group in groups:
        for text in group.captions:
            problem = caption_problem(text, config.max_caption_words, lexicon)
            if problem is None:
                texts.append((group, text))
            else:
                rejected.append(_rejected_caption(group, text, problem))
    parsed = parse_captions([text for _, text in texts], lexicon, config.spacy)
    by_gif: dict[str, list[int]] = {}
    for index, (group, _) in enumerate(texts):
        by_gif.setdefault(group.gif, []).append(index)
    captions: list[ParsedCaption] = []
    for gif, indices in by_gif.items():
        context = context_of([parsed[i][0] for i in indices], lexicon)
        captions += [ParsedCaption(gif, texts[i][1], parsed[i][0], context, lexicon) for i in indices]
    order = [i for indices in by_gif.values() for i in indices]
    splits = {group.gif: group.split for group in groups}
    edits = {id(caption): parsed[i][1] for caption, i in zip(captions, order, strict=True)}
    pairs = Filters(config, make_judge(config), lexicon).apply(_drafts(captions, splits, config))
    kept = []
    for pair in pairs:
        record = _record(pair, splits[pair.caption.gif], edits[id(pair.caption)])
        if pair.reason is None:
            kept.append(record)
        else:
            rejected.append({**as_row(record), "reason": pair.reason})
    return kept, rejected


def _drafts(
    captions: Sequence[ParsedCaption], splits: Mapping[str, str | None], config: SynthesisConfig
) -> list[Pair]:
    generator = make_generator(config)
    made = [(generator.name, generator.drafts(captions, config.seed))]
    if config.triples:
        triples = TripleGenerator()
        made.append((triples.name, triples.drafts(captions, config.seed)))
    pool = events_of(captions) if config.temporal else []
    asked = yes_no_drafts(captions, splits, config.seed) if config.yes_no else [[] for _ in captions]
    pairs: list[Pair] = []
    for index, caption in enumerate(captions):
        for name, drafts in made:
            pairs += [Pair(draft, caption, name) for draft in drafts[index]]
        pairs += [Pair(draft, caption, "rules") for draft in _extra(caption, config)]
        if config.temporal:
            pairs += [Pair(draft, caption, "rules") for draft in temporal_drafts(caption, pool, config.seed)]
        pairs += [Pair(draft, caption, "rules", number) for number, draft in asked[index]]
    return pairs


def _extra(caption: ParsedCaption, config: SynthesisConfig) -> Iterator[Draft]:
    if config.summary:
        yield summary_draft(caption.text, caption.gif, config.seed)


def _record(pair: Pair, split: str | None, edit: Edit | None) -> QARecord:
    draft, gif = pair.draft, pair.caption.gif
    span = draft.span if draft.span is None or edit is None else edit.back(draft.span)
    question = f"{draft.question[:1].upper()}{draft.question[1:]}"
    return QARecord(
        id=record_id(gif, question, draft.answer),
        gif=gif,
        question=question,
        answer=draft.answer,
        caption=pair.caption.text,
        answer_type=draft.answer_type,
        category=draft.category,
        span=span,
        generator=f"{pair.generator}/{draft.rule}",
        score=pair.score,
        split=split,
        options=draft.options,
    )


def _rejected_caption(group: Group, text: str, problem: str) -> Rejected:
    return {
        "id": record_id(group.gif, "", text[:1000]),
        "gif": group.gif,
        "caption": text[:1000],
        "question": None,
        "answer": None,
        "split": group.split,
        "source": group.source,
        "reason": problem,
    }
