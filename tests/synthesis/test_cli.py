"""The commands: output, exit codes, one line on stderr for what cannot be done."""

import io
import json
import re

import pytest

from gifqa.cli.main import run
from gifqa.synthesis.report import Tally, short_reason, write_report
from gifqa.synthesis.review import review

TSV = (
    "https://x.org/a.gif\ta man in a red hat is riding a horse .\n"
    "https://x.org/b.gif\ttwo dogs run in the snow .\n"
)
FIELDS = {
    "id", "gif", "caption", "question", "answer", "answer_type", "category", "span", "generator", "score",
}  # fmt: skip


@pytest.fixture
def captions(tmp_path):
    path = tmp_path / "captions.tsv"
    path.write_text(TSV)
    return path


def test_synthesize_says_what_it_made(captions, tmp_path, capsys):
    output = tmp_path / "qa.jsonl"
    assert run(["synthesize", str(captions), "-o", str(output), "--per-caption", "3"]) == 0
    said = capsys.readouterr().out
    assert re.search(r"6 pairs from 2 captions of 2 GIFs: .*qa\.jsonl", said)
    rows = [json.loads(line) for line in output.read_text().splitlines()]
    assert len(rows) == 6
    assert all(set(row) >= FIELDS for row in rows)


def test_synthesize_reads_standard_input(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(TSV.encode())))
    assert run(["synthesize", "-", "--format", "tsv", "-o", str(tmp_path / "qa.csv")]) == 0
    assert (tmp_path / "qa.csv").read_text().startswith("id,gif,question,answer")


def test_bad_rows_are_shown(captions, tmp_path, capsys):
    captions.write_text(TSV + "a row without a tab\n")
    assert run(["synthesize", str(captions), "-o", str(tmp_path / "qa.jsonl")]) == 0
    assert 'captions.tsv:3: no field "1"' in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--generator", "t5"], "--generator t5 needs a model"),
        (["--fractions", "half"], "--fractions is 'half'; three numbers are needed"),
        (["--fractions", "0.5,0.2,0.1"], "must be >= 0 and sum to 1"),
        (["--unsafe-words", "nowhere.txt"], "nowhere.txt cannot be read as a list of words"),
        (["--resume", "--overwrite"], "--resume and --overwrite exclude each other"),
        (["--caption-column", "text", "--format", "jsonl"], "no column 'text'"),
        (["--spacy", "en_nothing"], "spaCy pipeline 'en_nothing' is not installed"),
    ],
)
def test_what_cannot_be_done_is_one_line(captions, tmp_path, capsys, flags, message):
    source = captions
    if "jsonl" in flags:
        source = tmp_path / "c.jsonl"
        source.write_text('{"gif": "a", "caption": "b"}\n')
    assert run(["synthesize", str(source), "-o", str(tmp_path / "qa.jsonl"), *flags]) == 1
    error = capsys.readouterr().err.strip()
    assert message in error and "\n" not in error


def test_ctrl_c_says_how_to_go_on(captions, tmp_path, capsys, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("gifqa.synthesis.synthesize.run_shards", lambda *_, **__: stop())
    assert run(["synthesize", str(captions), "-o", str(tmp_path / "qa.jsonl")]) == 130
    assert re.search(r"stopped; what is done is in .*qa\.work. Go on with --resume", capsys.readouterr().err)


def test_an_unknown_generator_is_a_usage_error(captions, tmp_path):
    assert run(["synthesize", str(captions), "-o", str(tmp_path / "qa.jsonl"), "--generator", "magic"]) == 2


def test_triples_to_standard_output_and_to_a_file(captions, tmp_path, capsys):
    assert run(["triples", str(captions)]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {"subject": "man", "predicate": "ride", "object": "horse"}.items() <= rows[1].items() | rows[
        0
    ].items()
    output = tmp_path / "t.jsonl"
    assert run(["triples", str(captions), "-o", str(output)]) == 0
    assert [json.loads(line) for line in output.read_text().splitlines()] == rows
    assert run(["triples", str(captions), "-o", str(output)]) == 1
    assert "t.jsonl exists; nothing was changed" in capsys.readouterr().err


def test_the_report_shows_what_it_must(captions, tmp_path):
    captions.write_text(TSV + "https://x.org/c.gif\t<b>hello</b> <i>you</i>\n")
    run(["synthesize", str(captions), "-o", str(tmp_path / "qa.jsonl")])
    page = (tmp_path / "qa.report.html").read_text()
    kept = (tmp_path / "qa.jsonl").read_text().splitlines()
    assert f"<td>pairs kept</td><td class=n>{len(kept)}</td>" in page
    assert "Answer types" in page and "Rejected, by reason" in page and "caption: not English" in page
    assert "<script" not in page and "&lt;b&gt;hello" in page, "captions are text, not markup"
    assert f"{min(50, len(kept))} pairs to read" in page


def test_shares_of_the_report_are_of_all_answers_of_a_type():
    """Regression: they were shares of the fifteen that are shown."""
    from gifqa.data.records import QARecord
    from gifqa.synthesis.config import SynthesisConfig

    tally = Tally()
    for i in range(40):
        answer = "man" if i < 10 else f"person{i}"
        tally.add_kept(
            QARecord(id=str(i), gif="a", question="Who is it?", answer=answer, answer_type="person")
        )
    assert "<td>man</td><td class=n>10</td><td class=n>25.0%</td>" in write_report(tally, SynthesisConfig())


def test_the_sample_is_fifty_and_the_same_each_time():
    from gifqa.data.records import QARecord, record_id
    from gifqa.synthesis.config import SynthesisConfig

    records = [
        QARecord(id=record_id(str(i), "q?", "a"), gif=str(i), question="What is it?", answer="a")
        for i in range(300)
    ]
    samples = []
    for order in (records, records[::-1]):
        tally = Tally(seed=3)
        for record in order:
            tally.add_kept(record)
        samples.append([row["id"] for row in tally.sampled()])
    assert samples[0] == samples[1] and len(samples[0]) == 50
    assert "50 pairs to read" in write_report(tally, SynthesisConfig())


def test_the_report_has_the_settings_that_were_changed():
    """It said "{}" where none were."""
    from gifqa.synthesis.config import SynthesisConfig

    assert "<p>All settings are the default.</p>" in write_report(Tally(), SynthesisConfig())
    changed = write_report(Tally(), SynthesisConfig(seed=7))
    assert "not the default: <code>{&quot;seed&quot;: 7}</code>" in changed


def test_reasons_are_counted_without_their_details():
    assert short_reason("round trip: the caption says hat") == "round trip"
    assert short_reason("caption: 99 words; the limit is 80") == "caption: too long"
    assert short_reason("ungrammatical: no verb") == "ungrammatical: no verb"
    assert short_reason("ungrammatical: perplexity 812") == "ungrammatical: perplexity"


def test_a_review_writes_each_decision_down_and_goes_on_later(captions, tmp_path, capsys):
    pairs, output = tmp_path / "qa.jsonl", tmp_path / "reviewed.jsonl"
    run(["synthesize", str(captions), "-o", str(pairs), "--per-caption", "3"])
    before = pairs.read_bytes()
    verdicts = iter([("accept", ""), ("reject", "odd"), ("skip", ""), ("quit", "")])
    first = review(pairs, output, lambda record, number: next(verdicts))
    assert (first.accepted, first.rejected, first.left) == (1, 1, 4)
    (row,) = map(json.loads, (tmp_path / "reviewed.rejected.jsonl").read_text().splitlines())
    assert row["reason"] == "review: odd"
    second = review(pairs, output, lambda record, number: ("accept", ""))
    assert (second.accepted, second.rejected, second.left) == (5, 1, 0)
    assert pairs.read_bytes() == before, "a review changes nothing"
    ids = [json.loads(line)["id"] for line in output.read_text().splitlines()]
    assert len(set(ids)) == 5 and row["id"] not in ids


def test_review_in_the_terminal(captions, tmp_path, capsys, monkeypatch):
    pairs, output = tmp_path / "qa.jsonl", tmp_path / "reviewed.jsonl"
    run(["synthesize", str(captions), "-o", str(pairs), "--per-caption", "2"])
    replies = iter(["what?", "a", "r no such thing", "q"])
    monkeypatch.setattr("builtins.input", lambda prompt: next(replies))
    assert run(["synthesize", str(pairs), "-o", str(output), "--review"]) == 0
    assert "1 accepted, 1 rejected, 2 left; nothing else changed." in capsys.readouterr().out
    assert run(["synthesize", str(pairs), "-o", str(tmp_path / "r.csv"), "--review"]) == 1
    assert "a review appends to one" in capsys.readouterr().err
