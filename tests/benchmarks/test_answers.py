"""The answers benchmark from annotations to tables, on photos of one colour."""

import json
from collections import Counter
from itertools import pairwise

import pytest

from gifqa.errors import RecordError


@pytest.fixture
def modules(script):
    return script("answer_samples"), script("answer_scores")


@pytest.fixture
def samples(modules, tiny_data):
    return modules[0].read_samples(annotations(modules, tiny_data), "test")


def annotations(modules, tiny_data):
    return modules[0].Annotations(tiny_data.photo_annotations, tiny_data.clip_annotations, tiny_data.pairs)


def flags(tiny_data):
    return [word for name, path in vars(tiny_data).items() for word in ("--" + name.replace("_", "-"), path)]


def find(samples, picture, part, text=""):
    return next(s for s in samples if s.picture == picture and s.part == part and text in s.question)


# ---- samples


def test_every_part_is_read(samples):
    counts = Counter((*sample.part, sample.medium) for sample in samples)

    assert counts == {
        ("human", "open", "photo"): 4,
        ("human", "choice", "photo"): 4,
        ("human", "yes/no", "photo"): 4,
        ("captions", "open", "photo"): 8,
        ("captions", "yes/no", "photo"): 8,
        ("captions", "open", "clip"): 2,
        ("captions", "yes/no", "clip"): 2,
    }
    assert len({sample.id for sample in samples}) == len(samples)


def test_answers_are_normalised_and_choices_have_four_options(samples):
    made = find(samples, "a.png", ("captions", "open"), "color")
    choice = find(samples, "b.png", ("human", "choice"))

    assert (made.answers, made.kind, made.options) == (("red",), "colour", None)
    assert (choice.answers, choice.kind) == (("green",), "what")
    assert set(choice.options) == {"red", "green", "blue", "yellow"}
    assert find(samples, "a.png", ("human", "yes/no")).kind == "vqa2"
    assert find(samples, "a.png", ("captions", "yes/no")).kind == "colour"


def asked(module, answer, question="What?", task="open"):
    return module._sample("a", "photo", ("captions", task), "action", (question, answer))


def test_one_question_with_two_answers_is_right_with_either(modules):
    samples = [asked(modules[0], "run"), asked(modules[0], "jump"), asked(modules[0], "jump", "what?")]

    (merged,) = modules[0].merged(samples)

    assert merged.answers == ("jump", "run")


def test_a_yes_no_question_with_both_answers_is_left_out(modules):
    both = [asked(modules[0], answer, "Is it?", "yes/no") for answer in ("yes", "no")]

    assert modules[0].merged(both) == []
    assert len(modules[0].merged(both[:1] * 2)) == 1


def made_samples(module, sizes):
    return [
        module._sample(f"{kind} {number}", "photo", ("captions", "open"), kind, ("What?", "x"))
        for kind, size in sizes.items()
        for number in range(size)
    ]


def test_a_draw_is_even_over_the_kinds_and_small_kinds_are_whole(modules):
    samples = made_samples(modules[0], {"place": 30, "colour": 3, "action": 40})

    drawn = modules[0].draw(samples, {("captions", "open"): 23})

    assert Counter(sample.kind for sample in drawn) == {"place": 10, "colour": 3, "action": 10}


def test_a_smaller_draw_is_part_of_a_larger_one_and_the_seed_changes_it(modules):
    samples = made_samples(modules[0], {"place": 30, "colour": 30, "action": 4})
    drawn = [modules[0].draw(samples, {("captions", "open"): total}) for total in range(1, 64)]

    for smaller, larger in pairwise(drawn):
        assert set(smaller) < set(larger)
    assert modules[0].draw(samples, {("captions", "open"): 20}, seed=1) != drawn[19]


def test_clips_and_human_questions_are_asked_whole_unless_there_is_a_limit(modules, samples):
    quotas = {("captions", "open"): 2, ("captions", "yes/no"): 2}

    drawn = Counter((*s.part, s.medium) for s in modules[0].draw(samples, quotas))
    limited = Counter((*s.part, s.medium) for s in modules[0].draw(samples, quotas, limit=1))

    assert drawn["captions", "open", "photo"] == drawn["captions", "yes/no", "photo"] == 2
    assert drawn["captions", "open", "clip"] == 2 and drawn["human", "open", "photo"] == 4
    assert set(limited.values()) == {1}


def test_the_samples_file_is_a_batch_that_gifqa_ask_reads(
    modules, samples, tiny_data, tmp_path, fake_qa, colour_embedder
):
    from gifqa.batch import ask_file
    from gifqa.pipeline import GifQA

    path = tmp_path / "samples.jsonl"
    modules[0].write_samples(path, samples, {"photo": tiny_data.photos, "clip": tiny_data.clips})

    report = ask_file(GifQA(encoder=colour_embedder, answerer=fake_qa), path, tmp_path / "out.jsonl")

    assert (report.answered, report.failed) == (len(samples), 0)
    assert len(modules[1].read_predictions(tmp_path / "out.jsonl", "fake", samples).answers) == len(samples)


# ---- scores


def test_the_most_frequent_answer_is_that_of_the_first_two_words(modules, samples, tiny_data):
    train = modules[0].read_samples(annotations(modules, tiny_data), "train")

    frequent = modules[1].most_frequent(samples, train)

    def answer(*where):
        return frequent.answers[find(samples, *where).id]

    assert answer("a.png", ("captions", "open"), "color") == "green"  # "what color": green twice, red once
    assert answer("a.png", ("captions", "open"), "shown") == "screen"
    assert answer("c.png", ("human", "choice")) == "green"
    assert answer("c.png", ("human", "yes/no")) == "no"


def test_a_part_without_training_questions_is_an_error(modules, samples):
    with pytest.raises(RecordError, match=r"the train split has no open question of human.*Give annotations"):
        modules[1].most_frequent([find(samples, "a.png", ("human", "open"))], [])


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_predictions_may_score_the_options(modules, samples, tmp_path):
    choice = find(samples, "a.png", ("human", "choice"))
    place = choice.options.index("blue")
    row = {"id": choice.id, "answer": "red", "options_scores": [float(i == place) for i in range(4)]}

    found = modules[1].read_predictions(write(tmp_path / "p.jsonl", [row]), "blind", [choice])

    assert found.answers == {choice.id: "blue"}
    with pytest.raises(RecordError, match=r"has 2 options_scores; the sample has 4 options"):
        row["options_scores"] = [0, 1]
        modules[1].read_predictions(write(tmp_path / "p.jsonl", [row]), "blind", [choice])


def test_predictions_that_lack_a_sample_or_an_answer_are_errors(modules, samples, tmp_path):
    read = modules[1].read_predictions
    path = write(tmp_path / "p.jsonl", [{"id": samples[0].id, "text": "red"}])

    with pytest.raises(RecordError, match=r"1 of 2 samples have no line.*--write-samples"):
        read(path, "blind", samples[:2])
    with pytest.raises(RecordError, match='has no "answer"; it has id, text'):
        read(path, "blind", samples[:1])


def test_an_error_in_the_place_of_an_answer_is_wrong_and_counted(modules, samples, tmp_path):
    path = write(tmp_path / "p.jsonl", [{"id": samples[0].id, "error": "truncated"}])

    found = modules[1].read_predictions(path, "model", samples[:1])

    assert found.num_errors == 1
    assert modules[1].correctness(found, samples[:1]).tolist() == [0.0]


def method(module, name, samples, right, confidence=None):
    """Predictions of which those for the first `right` samples are right."""
    answers = {s.id: (f"The {s.answers[0]}." if i < right else "nonsense") for i, s in enumerate(samples)}
    confidences = {} if confidence is None else dict.fromkeys(answers, confidence)
    return module.Predictions(name, answers, confidences)


def test_rows_have_accuracy_calibration_and_the_baselines_beside_them(modules):
    samples = made_samples(modules[0], {"place": 20, "colour": 20})
    model = method(modules[1], "lite", samples, 30, confidence=1.0)
    blind = method(modules[1], "blind", samples, 10)

    rows = {row["group"]: row for row in modules[1].score(samples, [model, blind])}

    assert set(rows) == {"all", "place", "colour"}
    assert rows["all"]["accuracy"]["lite"]["value"] == pytest.approx(30 / 40)
    assert rows["place"]["accuracy"]["lite"]["value"] == 1.0
    assert rows["colour"]["accuracy"]["blind"]["value"] == 0.0
    assert rows["all"]["ece"] == pytest.approx(10 / 40)  # always sure, wrong on ten
    assert rows["all"]["over"]["blind"]["ratio"]["value"] == pytest.approx(3.0)
    assert rows["all"]["over"]["blind"]["difference"]["value"] == pytest.approx(0.5)
    low, high = rows["all"]["accuracy"]["lite"]["ci95"]
    assert low < 0.75 < high


def test_the_targets_are_measured_by_the_blind_model_only(modules):
    samples = made_samples(modules[0], {"place": 40})
    model, blind = method(modules[1], "lite", samples, 30), method(modules[1], "blind", samples, 10)

    (made, *human) = modules[1].targets(modules[1].score(samples, [model, blind]))
    without = modules[1].targets(modules[1].score(samples, [model]))

    assert made.measured == pytest.approx(3.0) and made.is_met
    assert [target.is_met for target in human] == [None, None, None]
    assert {target.is_met for target in without} == {None}


# ---- the whole benchmark


def test_the_benchmark_answers_scores_and_writes(run_script, tiny_data, tmp_path, fake_qa):
    words = [*flags(tiny_data), "--output", tmp_path / "run", "--json", tmp_path / "out.json"]

    shown = run_script("answers", *words, "--markdown", tmp_path / "out.md")
    report = json.loads((tmp_path / "out.json").read_text())
    rows = {(row["origin"], row["task"]): row["accuracy"] for row in report["rows"] if row["group"] == "all"}

    assert report["model"] == "lite of colours"
    assert report["num_errors"]["lite"] == 0
    # The stand-in names every colour rightly, and never says "screen", yes or no.
    assert rows["human", "open"]["lite"]["value"] == rows["human", "choice"]["lite"]["value"] == 1.0
    assert rows["captions", "open"]["lite"]["value"] == 0.5
    assert rows["human", "yes/no"]["lite"]["value"] == 0.0
    assert rows["human", "open"]["most frequent"]["value"] == 0.25  # "green", for four photos
    for text in (shown, (tmp_path / "out.md").read_text()):
        assert all(word in text for word in ("Questions that people asked", "100.0", "ECE", "not measured"))


def test_a_second_run_goes_on_where_the_first_stopped(run_script, tiny_data, tmp_path, fake_qa):
    words = [*flags(tiny_data), "--output", tmp_path / "run"]
    answer, stop_after = fake_qa.answer, 5

    def stopping(*args, **named):
        if len(fake_qa.calls) == stop_after:
            raise KeyboardInterrupt
        return answer(*args, **named)

    fake_qa.answer = stopping
    with pytest.raises(KeyboardInterrupt):
        run_script("answers", *words)
    fake_qa.answer = answer
    run_script("answers", *words)

    assert len(fake_qa.calls) == len((tmp_path / "run/items.jsonl").read_text().splitlines())


def test_answers_of_another_model_are_not_mixed_in(run_script, tiny_data, tmp_path, fake_qa):
    words = [*flags(tiny_data), "--output", tmp_path / "run"]
    run_script("answers", *words)

    with pytest.raises(
        SystemExit, match=r"holds the answers of lite of colours, and this is other of colours"
    ):
        run_script("answers", *words, "--model", "other")


def test_samples_are_written_without_a_model(run_script, tiny_data, tmp_path):
    path = tmp_path / "samples.jsonl"

    run_script("answers", *flags(tiny_data), "--write-samples", path, "--limit", 1)
    rows = [json.loads(line) for line in path.read_text().splitlines()]

    assert len(rows) == 7
    assert {
        "id",
        "picture",
        "medium",
        "origin",
        "task",
        "kind",
        "question",
        "answers",
        "options",
        "media",
    } == set(rows[0])


@pytest.mark.parametrize("origin", ["human", "captions"])
def test_one_of_the_two_sets_can_be_asked_alone(run_script, tiny_data, tmp_path, origin):
    every, alone = tmp_path / "every.jsonl", tmp_path / "alone.jsonl"
    run_script("answers", *flags(tiny_data), "--write-samples", every)
    run_script("answers", *flags(tiny_data), "--write-samples", alone, "--origin", origin)

    lines = every.read_text().splitlines()
    assert alone.read_text().splitlines() == [x for x in lines if json.loads(x)["origin"] == origin] != lines


def test_a_split_without_questions_is_an_error(run_script, tiny_data):
    with pytest.raises(SystemExit, match="--split is lunch, and the annotations have no question of it"):
        run_script("answers", *flags(tiny_data), "--split", "lunch")


def test_two_columns_of_one_name_are_refused(run_script, tiny_data):
    with pytest.raises(SystemExit, match=r"two columns are named 'lite'.*Rename one"):
        run_script("answers", *flags(tiny_data), "--predictions", "lite=lite.jsonl")


def test_predictions_are_given_by_name_and_file(run_script, tiny_data, capsys):
    with pytest.raises(SystemExit):
        run_script("answers", *flags(tiny_data), "--predictions", "blind.jsonl")
    assert "'blind.jsonl' is not NAME=FILE" in capsys.readouterr().err
