"""How fast captions become pairs, how much memory it takes, and how that compares with one call at a time."""

import resource
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from reporting import Table, Target

from gifqa.data.captions import CaptionItem, read_captions
from gifqa.engine import EngineConfig
from gifqa.synthesis.base import QuestionGenerator
from gifqa.synthesis.context import ParsedCaption, context_of
from gifqa.synthesis.lexicon import load_lexicon
from gifqa.synthesis.parsing import DEFAULT_PIPELINE, load_pipeline
from gifqa.synthesis.repair import parse_captions
from gifqa.synthesis.rules import RuleGenerator
from gifqa.synthesis.synthesize import Job, synthesize

TGIF_CAPTIONS = 125_782
_CATEGORIES = 5
"""The original parses a caption anew for each of its categories."""


def read_texts(paths: Sequence[Path]) -> list[str]:
    """Every caption of the files, in order."""
    items = [item for path in paths for item in read_captions(path) if isinstance(item, CaptionItem)]
    return [text for item in items for text in item.captions if text]


def write_input(path: Path, texts: Sequence[str], count: int) -> None:
    """A TSV like TGIF's: `count` captions, repeated from `texts`, about as many GIFs as TGIF has for them."""
    with path.open("w", encoding="utf-8") as stream:
        for number, text in enumerate(islice(cycle(texts), count)):
            gif = number if number % 5 else number - 1
            stream.write(f"https://example.org/{gif:07d}.gif\t{text}\n")


def _cpu_seconds() -> float:
    both = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in both)


def _peak_megabytes(workers: int) -> float:
    """This process at its peak, and as many times the largest worker as there are workers."""
    unit = 2**20 if sys.platform == "darwin" else 2**10
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    largest = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return (own + workers * largest) / unit


def measure_throughput(texts: Sequence[str], count: int, workers: int) -> dict[str, Any]:
    """One run of the whole room over `count` captions, filters, report and all."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "captions.tsv"
        write_input(source, texts, count)
        job = Job(source, Path(folder) / "qa.jsonl", engine=EngineConfig(kind="pool", workers=workers))
        cpu, began = _cpu_seconds(), time.perf_counter()
        outcome = synthesize(job)
        seconds = time.perf_counter() - began
        return {
            "captions": count,
            "kept": outcome.tally.kept,
            "seconds": seconds,
            "cpu_seconds": _cpu_seconds() - cpu,
            "captions_per_second": count / seconds,
            "peak_megabytes": _peak_megabytes(workers),
            "workers": workers,
        }


@contextmanager
def colour_page() -> Iterator[str]:
    """A page with a list of colours on this machine, as the original fetched one for every caption."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write("\n".join(sorted(load_lexicon().colours)).encode())

        def log_message(self, format: str, *args: Any) -> None:
            del format, args

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


def _parsed(doc: Any, text: str, number: int) -> ParsedCaption:
    lexicon = load_lexicon()
    return ParsedCaption(str(number), text, doc, context_of([doc], lexicon), lexicon)


def original_way(texts: Sequence[str], generator: QuestionGenerator, url: str) -> int:
    """One caption, one call: the colours are fetched, the caption is parsed once a category."""
    import httpx
    import spacy

    name = load_pipeline(DEFAULT_PIPELINE).meta
    pipeline = spacy.load(f"{name['lang']}_{name['name']}")
    count = 0
    for number, text in enumerate(texts):
        httpx.get(url)
        doc = [pipeline(text) for _ in range(_CATEGORIES)][-1]
        count += len(generator.drafts([_parsed(doc, text, number)], 0)[0])
    return count


def our_way(texts: Sequence[str], generator: QuestionGenerator) -> int:
    """All captions of a shard at once: parsed in batches, questions in batches."""
    parsed = parse_captions(list(texts), load_lexicon(), DEFAULT_PIPELINE)
    captions = [
        _parsed(doc, text, number) for number, (text, (doc, _)) in enumerate(zip(texts, parsed, strict=True))
    ]
    return sum(len(drafts) for drafts in generator.drafts(captions, 0))


def _timed(work: Callable[[], int]) -> tuple[float, int]:
    began = time.perf_counter()
    count = work()
    return time.perf_counter() - began, count


def random_t5(texts: Sequence[str]) -> Any:
    """A generator of T5-small's size with random weights: its time is that of a trained one."""
    import tokenizers
    import transformers

    from gifqa.synthesis.seq2seq import Seq2SeqGenerator

    words = dict.fromkeys(["<pad>", "</s>", "<unk>", *(word for text in texts for word in text.split())])
    model = tokenizers.Tokenizer(
        tokenizers.models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>")
    )
    model.pre_tokenizer = tokenizers.pre_tokenizers.WhitespaceSplit()
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=model, pad_token="<pad>", eos_token="</s>"
    )
    config = transformers.T5Config(decoder_start_token_id=0)  # the defaults are T5-small
    return Seq2SeqGenerator("t5:random", transformers.T5ForConditionalGeneration(config).eval(), tokenizer)


def measure_original(texts: Sequence[str], num_rules: int, num_t5: int) -> dict[str, Any]:
    """Both ways with the rules and, where wanted, with a T5, in one run; seconds a caption."""
    figures: dict[str, Any] = {}
    load_pipeline(DEFAULT_PIPELINE)
    our_way(texts[:8], RuleGenerator())
    with colour_page() as url:
        jobs: list[tuple[str, int, QuestionGenerator, QuestionGenerator]] = [
            ("rules", num_rules, RuleGenerator(), RuleGenerator())
        ]
        if num_t5:
            t5 = random_t5(texts)
            jobs.append(("t5", num_t5, replace(t5, batch_size=1), t5))
        for name, count, single, batched in jobs:
            part = texts[:count]
            theirs, _ = _timed(lambda part=part, single=single: original_way(part, single, url))  # type: ignore[misc]
            ours, made = _timed(lambda part=part, batched=batched: our_way(part, batched))  # type: ignore[misc]
            figures[name] = {
                "captions": len(part),
                "questions": made,
                "original_seconds_a_caption": theirs / len(part),
                "our_seconds_a_caption": ours / len(part),
                "times_as_fast": theirs / ours,
            }
    return {"original": figures}


def same_records(texts: Sequence[str], count: int, kinds: Sequence[str]) -> dict[str, Any]:
    """Whether the engines write the same records, byte for byte, sorted by id."""
    lines: dict[str, list[str]] = {}
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "captions.tsv"
        write_input(source, texts, count)
        for kind in ("local", *kinds):
            output = Path(folder) / f"{kind}.jsonl"
            synthesize(Job(source, output, engine=EngineConfig(kind=kind, workers=2)))  # type: ignore[arg-type]
            lines[kind] = sorted(output.read_text(encoding="utf-8").splitlines())
    same = {kind: lines[kind] == lines["local"] for kind in kinds}
    return {"engines": {"captions": count, "records": len(lines["local"]), "same_as_local": same}}


def tables_of(figures: dict[str, Any]) -> tuple[list[Table], list[Target]]:
    """The tables and targets of what was measured."""
    tables, targets = [], []
    if "throughput" in figures:
        rows = figures["throughput"]
        tables.append(
            Table(
                "Throughput with rules",
                ("captions", "seconds", "CPU seconds", "captions a second", "peak memory"),
                tuple(
                    (
                        f"{row['captions']:,}",
                        f"{row['seconds']:,.0f}",
                        f"{row['cpu_seconds']:,.0f}",
                        f"{row['captions_per_second']:,.0f}",
                        f"{row['peak_megabytes']:,.0f} MB",
                    )
                    for row in rows
                ),
                f"{rows[-1]['workers']} worker processes; peak memory is this process and all workers.",
            )
        )
        last = rows[-1]
        minutes = TGIF_CAPTIONS / last["captions_per_second"] / 60
        targets.append(Target("all of TGIF's captions, minutes", 20, minutes, at_least=False))
        targets.append(Target("peak memory, MB", 1500, last["peak_megabytes"], at_least=False))
    if "original" in figures:
        tables.append(
            Table(
                "One caption, one call, beside batches",
                ("generator", "captions", "original, ms a caption", "ours, ms a caption", "times as fast"),
                tuple(
                    (
                        name,
                        f"{row['captions']:,}",
                        f"{1000 * row['original_seconds_a_caption']:,.1f}",
                        f"{1000 * row['our_seconds_a_caption']:,.2f}",
                        f"{row['times_as_fast']:.1f}",
                    )
                    for name, row in figures["original"].items()
                ),
            )
        )
        targets += [
            Target(f"times as fast as the original's way, {name}", 20, row["times_as_fast"])
            for name, row in figures["original"].items()
        ]
    if "engines" in figures:
        targets += [
            Target(f"{kind}: same records as in this process", 1, float(same))
            for kind, same in figures["engines"]["same_as_local"].items()
        ]
    return tables, targets
