"""Counts of a run, and the page that shows them: reasons with examples, distributions, 50 pairs to read."""

import hashlib
import heapq
import json
from collections import Counter
from dataclasses import dataclass, field
from html import escape
from typing import Any

from gifqa.data.records import QARecord, as_row
from gifqa.engine import Summary
from gifqa.synthesis.config import SynthesisConfig

SAMPLE_SIZE = 50
_EXAMPLES_PER_REASON = 5
_TOP_ANSWERS = 15
_MAX_COUNTED_ANSWERS = 100_000

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Pairs from captions</title>
<style>
body {{ font: 15px/1.5 system-ui, sans-serif; max-width: 62rem;
  margin: 2rem auto; padding: 0 1rem; color: #222; }}
h2 {{ margin-top: 2.2rem; border-bottom: 1px solid #ccc; }}
table {{ border-collapse: collapse; margin: .6rem 0; }}
td, th {{ padding: .15rem .7rem .15rem 0; text-align: left; vertical-align: top; }}
td.n {{ text-align: right; font-variant-numeric: tabular-nums; }}
.bar {{ background: #4a7ab5; height: .8rem; display: inline-block; }}
.caption {{ color: #777; }} .bad {{ color: #a33; }}
</style></head><body>
<h1>Pairs from captions</h1>
{body}
</body></html>
"""


@dataclass
class Tally:
    """Everything that a run counts; grows with the number of distinct answers at most."""

    seed: int = 0
    """Chooses the sample."""
    gifs: int = 0
    """GIFs with at least one row."""
    captions: int = 0
    """Captions, each once a GIF."""
    gifs_in_several_rows: int = 0
    """GIFs that more than one row names."""
    kept: int = 0
    """Pairs kept."""
    rejected: int = 0
    """Pairs, captions and rows rejected."""
    types: Counter[str] = field(default_factory=Counter)
    """Answer type -> pairs kept."""
    generators: Counter[str] = field(default_factory=Counter)
    """Generator -> pairs kept."""
    splits: Counter[str] = field(default_factory=Counter)
    """Split -> pairs kept."""
    answers: dict[str, Counter[str]] = field(default_factory=dict)
    """Answer type -> answer -> pairs kept."""
    reasons: Counter[str] = field(default_factory=Counter)
    """Reason, without its details -> rejected."""
    examples: dict[str, list[tuple[str, dict[str, Any]]]] = field(default_factory=dict)
    """Reason -> a few rejected rows, chosen by hash."""
    sample: list[tuple[int, str, dict[str, Any]]] = field(default_factory=list)
    """Heap of the pairs to read."""

    def add_shard(self, summary: Summary) -> None:
        """Add what a shard counted."""
        self.gifs += int(summary["gifs"])
        self.captions += int(summary["captions"])
        self.gifs_in_several_rows += int(summary["gifs_in_several_rows"])

    def add_kept(self, record: QARecord) -> None:
        """Count a pair that was kept."""
        self.kept += 1
        self.types[record.answer_type] += 1
        self.generators[record.generator] += 1
        self.splits[record.split or "none"] += 1
        answers = self.answers.setdefault(record.answer_type, Counter())
        answers[record.answer] += 1
        if len(answers) > _MAX_COUNTED_ANSWERS:
            self.answers[record.answer_type] = Counter(dict(answers.most_common(_MAX_COUNTED_ANSWERS // 2)))
        entry = (-_order(record.id, self.seed), record.id, dict(as_row(record)))
        if len(self.sample) < SAMPLE_SIZE:
            heapq.heappush(self.sample, entry)
        else:
            heapq.heappushpop(self.sample, entry)

    def add_rejected(self, row: dict[str, Any]) -> None:
        """Count a pair, caption or row that was not kept."""
        self.rejected += 1
        reason = short_reason(str(row["reason"]))
        self.reasons[reason] += 1
        held = self.examples.setdefault(reason, [])
        held.append((f"{_order(str(row.get('id') or row['reason']), self.seed):020d}", row))
        held.sort(key=lambda item: item[0])
        del held[_EXAMPLES_PER_REASON:]

    def sampled(self) -> list[dict[str, Any]]:
        """The pairs to read, in the order of their ids."""
        return [row for _, _, row in sorted(self.sample, key=lambda item: item[1])]


def _order(name: str, seed: int) -> int:
    return int.from_bytes(hashlib.sha256(f"{seed}|{name}".encode()).digest()[:8], "big")


def short_reason(reason: str) -> str:
    """A reason without what differs from pair to pair: "round trip", "caption: one word", "input"."""
    head, _, detail = reason.partition(": ")
    if head in ("ungrammatical", "trivial"):
        return reason if "perplexity" not in detail else f"{head}: perplexity"
    if head == "caption":
        return "caption: too long" if "the limit is" in detail else reason
    return head


def write_report(tally: Tally, config: SynthesisConfig) -> str:
    """The report as a page of HTML, without scripts and outside files."""
    sections = [
        _summary(tally, config),
        _bars("Answer types", tally.types),
        _bars("Yes and no", tally.answers.get("yes/no", Counter())),
        *(
            _bars(f"Top answers: {kind}", answers, _TOP_ANSWERS)
            for kind, answers in sorted(tally.answers.items())
            if kind not in ("yes/no", "summary")
        ),
        _bars("Rules and models", tally.generators),
        _bars("Rejected, by reason", tally.reasons),
        _examples(tally),
        _sample(tally),
    ]
    return _PAGE.format(body="\n".join(sections))


def _summary(tally: Tally, config: SynthesisConfig) -> str:
    rows = {
        "GIFs": tally.gifs,
        "captions": tally.captions,
        "GIFs named in several rows": tally.gifs_in_several_rows,
        "pairs kept": tally.kept,
        "rejected": tally.rejected,
        **{f"pairs in {split}": count for split, count in sorted(tally.splits.items())},
    }
    cells = "".join(
        f"<tr><td>{escape(name)}</td><td class=n>{value:,}</td></tr>" for name, value in rows.items()
    )
    changed = config.model_dump(mode="json", exclude_defaults=True)
    said = (
        f"Settings that are not the default: <code>{escape(json.dumps(changed, ensure_ascii=False))}</code>"
    )
    return f"<table>{cells}</table><p>{said if changed else 'All settings are the default.'}</p>"


def _bars(title: str, counts: Counter[str], limit: int | None = None) -> str:
    """The `limit` largest counts as bars, with their shares of all."""
    if not counts:
        return ""
    largest, total = max(counts.values()), sum(counts.values())
    rows = "".join(
        f"<tr><td>{escape(name or '(none)')}</td><td class=n>{count:,}</td>"
        f"<td class=n>{count / total:.1%}</td>"
        f'<td><span class=bar style="width:{22 * count / largest:.2f}rem"></span></td></tr>'
        for name, count in counts.most_common(limit)
    )
    return f"<h2>{escape(title)}</h2><table>{rows}</table>"


def _pair(row: dict[str, Any], *, reason: bool = False) -> str:
    """One pair as a row of a table."""
    said = f"<td class=bad>{escape(str(row.get('reason', '')))}</td>" if reason else ""
    options = row.get("options")
    listed = f"<br><small>{escape(' / '.join(options))}</small>" if options else ""
    return (
        f"<tr><td>{escape(str(row.get('question') or ''))}{listed}</td>"
        f"<td><b>{escape(str(row.get('answer') or ''))}</b></td>"
        f"<td class=caption>{escape(str(row.get('caption') or '')[:200])}</td>{said}</tr>"
    )


def _examples(tally: Tally) -> str:
    parts = ["<h2>Rejected pairs, some of each reason</h2>"]
    for reason, _ in tally.reasons.most_common():
        rows = "".join(_pair(row, reason=True) for _, row in tally.examples[reason])
        parts.append(f"<h3>{escape(reason)}</h3><table>{rows}</table>")
    return "".join(parts)


def _sample(tally: Tally) -> str:
    rows = "".join(_pair(row) for row in tally.sampled())
    return f"<h2>{len(tally.sample)} pairs to read, drawn by seed {tally.seed}</h2><table>{rows}</table>"
