"""Tables, targets and reports of the benchmarks."""

import json
from argparse import Namespace

import pytest


@pytest.fixture
def reporting(script):
    return script("reporting")


def test_a_table_is_shown_and_pasted_with_the_same_cells(reporting, capsys):
    table = reporting.Table("Speed", ("what", "seconds"), (("a|b", "1.5"),), "Medians.")

    table.show()
    shown = capsys.readouterr().out

    assert all(word in shown for word in ("Speed", "what", "seconds", "a|b", "1.5", "Medians."))
    assert table.to_markdown().splitlines() == [
        "**Speed**", "", "| what | seconds |", "|---|---:|", "| a\\|b | 1.5 |", "", "Medians.",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("measured", "at_least", "is_met"),
    [(2.0, True, True), (1.9, True, False), (2.0, False, True), (2.1, False, False), (None, True, None)],
)
def test_a_target_is_met_by_reaching_it(reporting, measured, at_least, is_met):
    target = reporting.Target("ratio", 2.0, measured, at_least)

    assert target.is_met is is_met
    assert target.to_dict() == {
        "name": "ratio", ("at_least" if at_least else "at_most"): 2.0, "measured": measured, "is_met": is_met,
    }  # fmt: skip


def test_the_table_of_targets_says_what_was_not_measured(reporting):
    targets = [reporting.Target("a", 2.0, None), reporting.Target("b", 3.0, 1.5, at_least=False, unit=" s")]

    assert reporting.target_table(targets).rows == (
        ("a", "≥ 2", "–", "not measured"),
        ("b", "≤ 3 s", "1.5 s", "yes"),
    )


def test_a_share_is_shown_in_per_cent_with_its_interval(reporting):
    assert reporting.percent({"value": 0.5, "ci95": [0.25, 0.75]}) == "50.0 [25.0, 75.0]"


def test_a_report_holds_settings_machine_and_figures(reporting, tmp_path, capsys):
    args = Namespace(json=tmp_path / "out.json", markdown="-", seed=3, predictions=[("blind", tmp_path)])
    table = reporting.Table("T", ("x",), (("y",),))

    reporting.write_report("speed", args, {"rows": [1]}, [table], began=0.0)
    report = json.loads(args.json.read_text(encoding="utf-8"))

    assert (report["benchmark"], report["rows"]) == ("speed", [1])
    assert report["settings"]["predictions"] == [["blind", str(tmp_path)]]
    assert {"processor", "cpus", "python", "platform"} <= set(report["machine"])
    assert table.to_markdown() in capsys.readouterr().out


def test_markdown_goes_into_a_file(reporting, tmp_path):
    args = Namespace(json=None, markdown=str(tmp_path / "out.md"))
    table = reporting.Table("T", ("x",), (("y",),))

    reporting.write_report("speed", args, {}, [table, table], began=0.0)

    assert (tmp_path / "out.md").read_text(
        encoding="utf-8"
    ) == f"{table.to_markdown()}\n{table.to_markdown()}"


def test_the_processor_has_its_name(reporting, tmp_path):
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("processor\t: 0\nmodel name\t: Abacus 9\nmodel name\t: Abacus 9\n")

    assert reporting.processor_name(cpuinfo) == "Abacus 9"
    assert reporting.processor_name(tmp_path / "none")


def test_an_error_of_gifqa_is_one_line(reporting):
    from gifqa.errors import ConfigError

    def fail():
        raise ConfigError("this is\nwrong")

    with pytest.raises(SystemExit, match=r"^error: this is wrong$"):
        reporting.run(fail)


def test_lines_of_jsonl_are_checked(script, tmp_path):
    from gifqa.errors import RecordError

    read_lines = script("json_lines").read_lines
    path = tmp_path / "in.jsonl"
    path.write_text('{"id": 1}\n\n{"name": 2}\n[3]\n')

    assert next(read_lines(path, ("id",))) == {"id": 1}
    with pytest.raises(RecordError, match=r'in.jsonl:3: no field "id"; it has name. Is it the right file'):
        list(read_lines(path, ("id",)))
    with pytest.raises(RecordError, match=r"in.jsonl:4: is a JSON list; a line of JSONL is one object"):
        list(read_lines(path))
