"""The task files for lmms-eval: every function they name is there and scores as `gifqa evaluate` does."""

import importlib.util
from pathlib import Path

import pytest

yaml = pytest.importorskip("yaml")
FOLDER = Path(__file__).parents[2] / "integrations" / "lmms_eval"
TASKS = ("frameqa", "action", "transition", "count")
DOC = {
    "gif_name": "green_gif",
    "key": 3,
    "question": "What does it do 3 times ?",
    **{f"a{n}": word for n, word in enumerate(("run", "walk", "jump", "nod", "run"), start=1)},
}


@pytest.fixture
def module():
    spec = importlib.util.spec_from_file_location("tgifqa_tasks", FOLDER / "tgifqa_tasks.py")
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


@pytest.fixture
def task(module):
    """`task(part)`: the settings of one task file with those it includes, its functions resolved."""

    class Loader(yaml.SafeLoader):
        pass

    def resolve(loader, node):
        name, _, function = node.value.partition(".")
        assert name == module.__name__
        return getattr(module, function)

    Loader.add_constructor("!function", resolve)

    def load(part):
        own = yaml.load((FOLDER / f"tgifqa_{part}.yaml").read_text(encoding="utf-8"), Loader)
        shared = yaml.load((FOLDER / own.pop("include")).read_text(encoding="utf-8"), Loader)
        return {**shared, **own}

    return load


@pytest.mark.parametrize("part", TASKS)
def test_a_task_names_its_file_and_asks_scores_and_shows(task, gifs, part):
    settings = task(part)
    assert settings["task"] == f"tgifqa_{part}"
    assert settings["dataset_kwargs"]["data_files"]["test"].endswith(f"Test_{part}_question.csv")
    assert settings["dataset_kwargs"]["sep"] == "\t"
    answer = {"frameqa": "run", "action": 1, "transition": 1, "count": 3}[part]
    doc = {**DOC, "answer": answer}
    kwargs = {**settings["lmms_eval_specific_kwargs"]["default"], "gif_folder": str(gifs)}
    assert DOC["question"] in settings["doc_to_text"](doc, kwargs)
    target = settings["doc_to_target"](doc)
    right, wrong = settings["process_results"](doc, [target]), settings["process_results"](doc, ["no idea"])
    assert right["accuracy"] == 1.0
    assert wrong["accuracy"] == 0.0
    assert set(right) == {metric["metric"] for metric in settings["metric_list"]}
    images = settings["doc_to_visual"](doc, kwargs)
    assert [image.getpixel((0, 0)) for image in images] == [(0, level, 0) for level in (255, 220, 185)]


def test_an_option_by_letter_by_words_and_twice(module):
    doc = {**DOC, "answer": 4}
    assert module.choice_to_target(doc) == "E"
    assert (
        module.choice_results(doc, ["E"]) == module.choice_results(doc, ["it will run"]) == {"accuracy": 1.0}
    )
    assert module.choice_results(doc, ["A. run"]) == {"accuracy": 1.0}  # the same words stand twice


def test_a_count_is_scored_by_its_squared_error(module):
    assert module.count_results({**DOC, "answer": 3}, ["5 times"]) == {"mse": 4.0, "accuracy": 0.0}


def test_fewer_frames_than_asked_for_are_evenly_spread(module, gifs):
    kwargs = {"gif_folder": str(gifs), "num_frames": 1, "pre_prompt": "", "post_prompt": ""}
    assert [image.getpixel((0, 0)) for image in module.doc_to_visual(DOC, kwargs)] == [(0, 220, 0)]


def test_a_missing_gif_is_named(module, gifs):
    kwargs = {"gif_folder": str(gifs), "num_frames": 1}
    with pytest.raises(FileNotFoundError, match=r"gone.gif is not in .*take its rows out of the annotations"):
        module.doc_to_visual({**DOC, "gif_name": "gone", "key": 99}, kwargs)


def test_the_harness_itself_loads_the_tasks():
    tasks = pytest.importorskip("lmms_eval.tasks")
    manager = tasks.TaskManager("ERROR", include_path=str(FOLDER), include_defaults=False)
    assert {f"tgifqa_{part}" for part in TASKS} <= set(manager.all_tasks)
