"""The report: one file that needs no other, with every number, and safe against what answers may hold."""

import json
import re
from collections import Counter
from html.parser import HTMLParser

import pytest

from gifqa.evaluation.gallery import choose_rows
from gifqa.evaluation.plots import confusion_chart, format_score, interval_chart
from gifqa.evaluation.report import write_report
from gifqa.evaluation.run import run_evaluation
from gifqa.evaluation.statistics import Interval

VOID = {"meta", "img", "rect", "line", "polyline", "br"}


class Checker(HTMLParser):
    """Collects elements and checks that they nest."""

    def __init__(self):
        super().__init__()
        self.open, self.counts, self.sources = [], {}, []

    def handle_starttag(self, tag, attributes):
        self.counts[tag] = self.counts.get(tag, 0) + 1
        self.sources += [value for name, value in attributes if name in ("src", "href")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag, tag


def check(text):
    checker = Checker()
    checker.feed(text)
    assert checker.open == []
    return checker


@pytest.fixture
def evaluation(config, make_qa):
    return run_evaluation(config(), make_qa=make_qa)


def test_the_page_is_whole_and_needs_nothing_else(evaluation):
    text = write_report(evaluation).read_text(encoding="utf-8")
    checker = check(text)
    assert checker.counts["article"] == 6
    assert checker.counts["img"] >= 12  # each card has a clip and at least one keyframe
    assert all(source.startswith("data:image/webp;base64,") for source in checker.sources)
    assert "http" not in re.sub(r"<dd>.*?</dd>", "", text)
    assert "tgif-qa/frameqa: 6 of 6 questions evaluated" in text
    for wanted in (
        "accuracy",
        "most-frequent-per-kind",
        "Reliability",
        "Risk and coverage",
        "annotations_sha256",
    ):
        assert wanted in text


def test_right_and_wrong_cards_can_be_told_apart_by_the_filter(evaluation):
    text = write_report(evaluation).read_text(encoding="utf-8")
    assert text.count('data-verdict="right" data-kind') == 4
    assert text.count('data-verdict="wrong" data-kind') == 2
    assert '<option value="colour">' in text


def test_answers_cannot_break_the_page(config, make_qa, fake_answerer):
    from gifqa.answering.base import Reply

    attack = '</dd><script>alert("x")</script>'
    fake_answerer.answer = lambda *_, **__: Reply(text=attack, confidence=0.5)
    text = write_report(run_evaluation(config(), make_qa=make_qa)).read_text(encoding="utf-8")
    assert attack not in text
    assert check(text).counts["script"] == 1


def test_markdown_begins_with_the_coverage_and_has_the_tables(evaluation, config):
    write_report(evaluation)
    lines = (config().output / "report.md").read_text(encoding="utf-8").splitlines()
    assert lines[0] == "tgif-qa/frameqa: 6 of 6 questions evaluated"
    assert any(line.startswith("| lite | 66.7 % (") for line in lines)
    assert any(line.startswith("| colour | 3 | 100.0 %") for line in lines)


def test_the_results_file_has_the_shape_of_lmms_eval(evaluation, config):
    write_report(evaluation)
    results = json.loads((config().output / "lmms_eval.json").read_text(encoding="utf-8"))
    task = results["results"]["tgifqa_frameqa"]
    assert task["accuracy,none"] == pytest.approx(4 / 6)
    assert task["accuracy_stderr,none"] > 0
    assert results["n-samples"]["tgifqa_frameqa"] == {"original": 6, "effective": 6}


def test_a_judge_stands_under_the_scores_with_its_doubts(evaluation):
    judged = {
        "accuracy": {"value": 0.5, "ci95": [0.4, 0.6]},
        "score": {"value": 2.5, "ci95": [2.0, 3.0]},
        "agreement": 0.75,
        "unusable": 1,
        "tokens": 1234,
        "cost": 0.125,
        "models": ["gpt-x-0613"],
    }
    text = write_report(evaluation, judged).read_text(encoding="utf-8")
    assert "Judge gpt-x-0613: 50.0 % (40.0 to 60.0) right" in text
    assert "agree with each other in 75%, 1 unusable, 1,234 tokens, cost 0.12." in text


def test_without_a_gallery_no_picture_is_in_the_page(config, make_qa):
    evaluation = run_evaluation(config(gallery_size=0), make_qa=make_qa)
    assert "img" not in check(write_report(evaluation).read_text(encoding="utf-8")).counts


def test_media_that_are_gone_leave_the_gallery_and_nothing_else(evaluation, config):
    (config().media / "red_gif.gif").unlink()
    assert check(write_report(evaluation).read_text(encoding="utf-8")).counts["article"] == 4


@pytest.mark.parametrize("benchmark", ["captions", "retrieval", "count"])
def test_every_task_has_a_page(config, make_qa, write, write_table, benchmark):
    rows = [("red_gif", "How many ?", 3, "COUNT1", 1)]
    files = {
        "captions": write("c.jsonl", '{"gif": "red_gif", "caption": "a red screen"}\n'),
        "retrieval": write("r.jsonl", '{"gif": "red_gif", "question": "When?", "start": 0, "end": 0.1}\n'),
        "count": write_table("c.csv", "gif_name question answer vid_id key", rows),
    }
    name = "tgif-qa/count" if benchmark == "count" else benchmark
    run = config(benchmark=name, annotations=files[benchmark])
    check(write_report(run_evaluation(run, make_qa=make_qa)).read_text(encoding="utf-8"))


def test_the_gallery_takes_right_and_wrong_and_all_kinds_in_equal_parts():
    values = [1.0] * 90 + [0.0] * 10
    kinds = ["a" if row % 10 else "b" for row in range(100)]
    rows = choose_rows(values, kinds, 8, seed=0)
    assert Counter((values[row], kinds[row]) for row in rows) == {
        (0.0, "a"): 3,
        (0.0, "b"): 1,  # there is one only
        (1.0, "a"): 2,
        (1.0, "b"): 2,
    }
    assert rows == choose_rows(values, kinds, 8, seed=0)
    assert len(choose_rows([1.0], ["a"], 8, seed=0)) == 1


def test_scores_are_shown_with_their_intervals():
    assert format_score(Interval(0.4371, 0.4269, 0.448), as_percent=True) == "43.7 % (42.7 to 44.8)"
    assert format_score(Interval(7.783, 7.4, 8.2), as_percent=False) == "7.78 (7.40 to 8.20)"


def test_bars_are_as_long_as_their_scores():
    chart = interval_chart(
        [("half", Interval(0.5, 0.4, 0.6), True), ("all", Interval(1.0, 1.0, 1.0), False)],
        as_percent=True,
        title="t",
    )
    widths = [
        float(width)
        for width in re.findall(r'<rect class="\w+" x="[\d.]+" y="[\d.]+" width="([\d.]+)"', chart)
    ]
    assert widths[1] == pytest.approx(2 * widths[0])


def test_the_longest_figure_fits_beside_a_full_bar():
    """It was cut off at the picture's right edge, as a look at the page showed."""
    chart = interval_chart([("all", Interval(1.0, 1.0, 1.0), True)], as_percent=True, title="t")
    width = float(re.search(r'viewBox="0 0 ([\d.]+)', chart).group(1))
    at = float(re.findall(r'<text x="([\d.]+)"', chart)[-1])
    assert width - at >= 7 * len("100.0 % (100.0 to 100.0)")


def test_the_confusion_chart_has_a_cell_for_each_pair():
    chart = confusion_chart([("a<b", "a<b", 3), ("a<b", "other", 0)])
    assert chart.count("<rect") == 2
    assert "a&lt;b answered a&lt;b: 3" in chart
