"""The whole run: same records whatever runs it, nothing lost or twice after a kill, bad input named."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from gifqa.data.records import read_records
from gifqa.engine import EngineConfig
from gifqa.errors import ConfigError, RecordError
from gifqa.synthesis import synthesize as room
from gifqa.synthesis.config import SynthesisConfig
from gifqa.synthesis.partition import InputConfig, partition, read_part
from gifqa.synthesis.shard import SynthesisShard
from gifqa.synthesis.synthesize import Job, synthesize

CAPTIONS = [
    ("a.gif", "a man in a red hat is riding a horse on the beach ."),
    ("b.gif", "two dogs are playing in the snow ."),
    ("c.gif", "a girl claps three times and a cat is sleeping on a couch ."),
    ("a.gif", "a guy rides a brown horse ."),
    ("d.gif", "a woman is cutting a cake in a kitchen ."),
]
SHARDS = InputConfig(num_shards=3)
SPLITS = ("test", "train", "train", "val")


def write_tsv(path, rows=CAPTIONS):
    path.write_text("".join(f"https://x.org/{gif}\t{text}\n" for gif, text in rows), encoding="utf-8")
    return path


def rejected(output):
    path = output.with_suffix("").with_name(f"{output.stem}.rejected.jsonl")
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def captions(tmp_path):
    return write_tsv(tmp_path / "captions.tsv")


def test_a_run_from_file_to_file(captions, tmp_path):
    outcome = synthesize(Job(captions, tmp_path / "qa.jsonl"))
    records = list(read_records(tmp_path / "qa.jsonl"))
    assert outcome.tally.kept == len(records) > 20
    assert len({record.id for record in records}) == len(records)
    by_question = {(r.gif, r.question): r for r in records}
    colour = by_question["https://x.org/a.gif", "What color is the horse?"]
    assert (colour.answer, colour.answer_type, colour.category) == ("brown", "colour", "colour")
    assert colour.caption[slice(*colour.span)] == "brown"
    assert colour.generator == "rules/colour" and 0 < colour.score <= 1
    for row in rejected(tmp_path / "qa.jsonl"):
        assert row["reason"] and {"id", "gif", "caption", "question", "answer"} <= set(row)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "captions.tsv",
        "qa.jsonl",
        "qa.rejected.jsonl",
        "qa.report.html",
    ]


def test_yes_and_no_are_balanced_and_a_gif_is_in_one_split(tmp_path):
    rows = [(f"{i}.gif", text) for i, (_, text) in enumerate(CAPTIONS * 6)]
    captions = write_tsv(tmp_path / "captions.tsv", rows)
    synthesize(Job(captions, tmp_path / "qa.jsonl", SHARDS), SynthesisConfig(fractions=(0.4, 0.3, 0.3)))
    records = list(read_records(tmp_path / "qa.jsonl"))
    for split in ("train", "val", "test"):
        answers = [r.answer for r in records if r.answer_type == "yes/no" and r.split == split]
        assert answers.count("yes") == answers.count("no") > 0
    splits = {}
    for record in records:
        splits.setdefault(record.gif, set()).add(record.split)
    assert all(len(found) == 1 for found in splits.values())


def test_the_options_of_the_room(captions, tmp_path):
    config = SynthesisConfig(temporal=True, summary=True, triples=True, style="both", yes_no=False)
    synthesize(Job(captions, tmp_path / "qa.jsonl"), config)
    records = list(read_records(tmp_path / "qa.jsonl"))
    generators = {record.generator for record in records}
    assert {"rules/count", "rules/repeated-action", "rules/summary", "triples/who"} <= generators
    assert "rules/full-colour" in generators and not any(r.answer_type == "yes/no" for r in records)
    repeated = next(r for r in records if r.generator == "rules/repeated-action")
    assert len(repeated.options) == 5 and repeated.answer in repeated.options


def run(captions, output, **engine):
    synthesize(Job(captions, output, SHARDS, EngineConfig(**engine)), SynthesisConfig(temporal=True))
    return sorted(output.read_text().splitlines())


@pytest.mark.slow
def test_the_engine_and_its_workers_do_not_show(captions, tmp_path):
    local = run(captions, tmp_path / "local.jsonl")
    assert local == run(captions, tmp_path / "pool.jsonl", kind="pool", workers=2)
    assert local == run(captions, tmp_path / "again.jsonl")


@pytest.mark.slow
def test_ray_makes_the_same_records(captions, tmp_path):
    pytest.importorskip("ray")
    assert run(captions, tmp_path / "local.jsonl") == run(
        captions, tmp_path / "ray.jsonl", kind="ray", workers=2
    )


def test_another_seed_asks_otherwise(captions, tmp_path):
    questions = []
    for seed in (0, 1):
        synthesize(Job(captions, tmp_path / f"{seed}.jsonl"), SynthesisConfig(seed=seed))
        questions.append({r.question for r in read_records(tmp_path / f"{seed}.jsonl")})
    assert questions[0] != questions[1]


@dataclass(frozen=True)
class Interrupted:
    """The shard function, with Ctrl-C at the second shard."""

    config: SynthesisConfig

    def __call__(self, source: Path, folder: Path) -> dict[str, int]:
        summary = SynthesisShard(self.config)(source, folder)
        if source.name == "part-00001.jsonl":
            raise KeyboardInterrupt
        return summary


def test_after_ctrl_c_a_run_goes_on_and_ends_the_same(captions, tmp_path, monkeypatch):
    whole = run(captions, tmp_path / "whole.jsonl")
    monkeypatch.setattr(room, "SynthesisShard", Interrupted)
    output = tmp_path / "qa.jsonl"
    with pytest.raises(KeyboardInterrupt):
        run(captions, output)
    assert not output.exists(), "half a result is no result"
    monkeypatch.undo()
    with pytest.raises(ConfigError, match=r"holds an unfinished run. Go on with it \(--resume\)"):
        run(captions, output)
    with pytest.raises(ConfigError, match=r"other input or settings"):
        synthesize(Job(captions, output, SHARDS, mode="resume"), SynthesisConfig(seed=7))
    synthesize(Job(captions, output, SHARDS, mode="resume"), SynthesisConfig(temporal=True))
    assert sorted(output.read_text().splitlines()) == whole
    assert not (tmp_path / "qa.work").exists()


@pytest.mark.slow
def test_killed_from_outside_it_goes_on_too(tmp_path):
    """kill -9 of the whole process, wherever it happens to be."""
    rows = [(f"{i}.gif", text.replace("three", str(i + 2))) for i in range(40) for _, text in CAPTIONS]
    captions = write_tsv(tmp_path / "captions.tsv", rows)
    command = [sys.executable, "-m", "gifqa", "synthesize", str(captions), "-o", str(tmp_path / "qa.jsonl")]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < deadline and not (tmp_path / "qa.work").exists():
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    synthesize(Job(captions, tmp_path / "qa.jsonl", mode="resume"))
    synthesize(Job(captions, tmp_path / "whole.jsonl"))
    assert (tmp_path / "qa.jsonl").read_bytes() == (tmp_path / "whole.jsonl").read_bytes()


def test_an_output_that_exists_is_not_touched(captions, tmp_path):
    output = tmp_path / "qa.jsonl"
    output.write_text("precious\n")
    with pytest.raises(ConfigError, match=r"qa.jsonl exists; nothing was changed. .* --overwrite"):
        synthesize(Job(captions, output))
    assert output.read_text() == "precious\n"
    synthesize(Job(captions, output, mode="overwrite"))
    assert len(list(read_records(output))) > 20


BAD = {
    "empty": ("", "caption: empty"),
    "one word": ("dog", "caption: one word"),
    "emoji": ("😀 🎉 🎉", "caption: no words"),
    "german": ("ein Mann reitet auf dem Pferd und die Frau singt", "caption: not English"),
    "cyrillic": ("мужчина едет на лошади", "caption: not English"),
    "long": ("a man runs " * 1667, "caption: 5001 words; the limit is 80 (--max-caption-words)"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_caption_of_no_use_has_its_reason_and_the_rest_goes_on(tmp_path, name):
    text, reason = BAD[name]
    captions = write_tsv(tmp_path / "c.tsv", [CAPTIONS[0], ("bad.gif", text), CAPTIONS[1]])
    synthesize(Job(captions, tmp_path / "qa.jsonl"))
    assert {r.gif for r in read_records(tmp_path / "qa.jsonl")} == {
        "https://x.org/a.gif",
        "https://x.org/b.gif",
    }
    (row,) = [row for row in rejected(tmp_path / "qa.jsonl") if row["question"] is None]
    assert (row["gif"], row["reason"], row["source"]) == ("https://x.org/bad.gif", reason, "c.tsv:2")


def test_rows_that_are_no_captions_are_written_down(tmp_path):
    path = tmp_path / "c.jsonl"
    path.write_bytes(b'{"gif": "a", "caption": "a man runs"}\nnonsense\n\xff\xfe\n{"gif": "b"}\n')
    outcome = synthesize(Job(path, tmp_path / "qa.jsonl"))
    assert outcome.tally.reasons["input"] == 3
    reasons = [row["reason"] for row in rejected(tmp_path / "qa.jsonl") if row["reason"].startswith("input")]
    assert [reason.split(":")[2] for reason in reasons] == ["2", "3", "4"]


def test_a_split_lies_together_and_its_gifs_stay_whole(tmp_path):
    rows = [
        {"gif": f"{i % 40}", "caption": f"a man holds {i:02} cups", "split": SPLITS[i % 4]} for i in range(80)
    ]
    path = tmp_path / "c.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    parts = partition(path, tmp_path / "work", InputConfig(num_shards=4), (1.0, 0.0, 0.0))
    groups = [read_part(part) for part in parts]
    assert [sorted({group.split for group in part}) for part in groups] == [
        ["test"],
        ["train"],
        ["train"],
        ["val"],
    ]
    assert sorted(group.gif for part in groups for group in part) == sorted(str(i) for i in range(40))
    assert all(len(group.captions) == 2 for part in groups for group in part)


def test_the_input_is_passed_on_as_it_is_read(tmp_path, monkeypatch):
    """Few lines are held back, and the parts are the same as when all are."""
    rows = [(f"{i}.gif", f"a man holds {i} cups") for i in range(300)]
    captions = write_tsv(tmp_path / "c.tsv", rows)
    config = InputConfig(num_shards=7)
    whole = partition(captions, tmp_path / "whole", config, (1.0, 0.0, 0.0))
    monkeypatch.setattr("gifqa.synthesis.partition._MAX_HELD_CHARACTERS", 1000)
    pieces = partition(captions, tmp_path / "pieces", config, (1.0, 0.0, 0.0))
    assert [p.read_text() for p in pieces] == [p.read_text() for p in whole]
    assert sum(len(read_part(part)) for part in pieces) == 300


def test_urls_in_several_rows_are_one_gif(captions, tmp_path):
    outcome = synthesize(Job(captions, tmp_path / "qa.jsonl", SHARDS))
    assert (outcome.tally.gifs, outcome.tally.captions, outcome.tally.gifs_in_several_rows) == (4, 5, 1)


def test_an_input_without_anything_usable_gives_empty_files(tmp_path):
    path = tmp_path / "c.tsv"
    path.touch()
    assert synthesize(Job(path, tmp_path / "qa.jsonl")).tally.kept == 0
    assert (tmp_path / "qa.jsonl").read_text() == ""


def test_a_missing_input_leaves_nothing_behind(tmp_path):
    with pytest.raises(RecordError, match=r"nothing.tsv cannot be read: No such file"):
        synthesize(Job(tmp_path / "nothing.tsv", tmp_path / "qa.jsonl"))
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_at_the_start_says_so(captions, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("gifqa.synthesis.partition._Appender._flush", full)
    with pytest.raises(
        RecordError, match=r"qa.work cannot be written: No space left on device. Free some space"
    ):
        synthesize(Job(captions, tmp_path / "qa.jsonl"))
    assert not (tmp_path / "qa.jsonl").exists()


def test_a_cost_cap_needs_one_process(captions, tmp_path):
    config = SynthesisConfig(
        generator="remote", model="http://h/v1#m", max_cost=1, price_per_million_tokens=1
    )
    with pytest.raises(ConfigError, match=r"--max-cost with --engine pool: .* Use --engine local"):
        synthesize(Job(captions, tmp_path / "qa.jsonl", engine=EngineConfig(kind="pool")), config)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"generator": "t5"}, r"--generator t5 needs a model. Name one with --model"),
        ({"round_trip": "lm"}, r"need a language model. Name one with --judge"),
        ({"max_cost": 1.0}, r"--max-cost needs a price. Give --price-per-million-tokens"),
        ({"fractions": (0.9, 0.2, 0.1)}, r"must be >= 0 and sum to 1. Correct --fractions"),
    ],
)
def test_settings_at_odds(settings, message):
    with pytest.raises(ValueError, match=message):
        SynthesisConfig(**settings)


def test_an_unknown_spacy_pipeline_says_how_to_install_one(captions, tmp_path):
    with pytest.raises(ConfigError, match=r"pipeline 'en_nothing' is not installed; .*pip install .*--spacy"):
        synthesize(Job(captions, tmp_path / "qa.jsonl"), SynthesisConfig(spacy="en_nothing"))


def test_the_official_lists_give_the_splits(captions, tmp_path):
    lists = tmp_path / "lists"
    lists.mkdir()
    (lists / "test.txt").write_text("https://other.org/a.gif\n")
    config = SynthesisConfig(fractions=(1.0, 0.0, 0.0))
    synthesize(Job(captions, tmp_path / "qa.jsonl", InputConfig(split_lists=lists)), config)
    splits = {record.gif[-5:]: record.split for record in read_records(tmp_path / "qa.jsonl")}
    assert splits["a.gif"] == "test" and splits["b.gif"] == "train"
