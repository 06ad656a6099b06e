"""The scripts below benchmarks/ as modules, and tiny annotations whose right answers are colours."""

import importlib
import json
import sys
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Any]:
    """`script("answers")`: benchmarks/answers.py as a module, found as it is when it is run."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    monkeypatch.setenv("COLUMNS", "200")
    return importlib.import_module


@pytest.fixture
def run_script(
    script: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., str]:
    """`run_script("answers", "--limit", 3) -> stdout`: its `main` with that command line."""

    def call(name: str, *words: Any) -> str:
        module = script(name)
        monkeypatch.setattr(sys, "argv", [f"{name}.py", *map(str, words)])
        capsys.readouterr()
        module.run(module.main)
        return capsys.readouterr().out

    return call


@pytest.fixture
def fake_qa(
    script: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch, colour_embedder: Any, fake_answerer: Any
) -> Any:
    """The model of every benchmark names the colour it sees; gives the answerer with its `calls`."""
    from gifqa.pipeline import GifQA

    def load(model: str) -> tuple[GifQA, str]:
        return GifQA(encoder=colour_embedder, answerer=fake_answerer), f"{model} of colours"

    for name in ("answers", "captions"):
        monkeypatch.setattr(script(name), "load_qa", load)
    return fake_answerer


def write_lines(path: Path, records: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return path


def pair(gif: str, split: str, question: str, answer: str, kind: str = "colour") -> dict[str, Any]:
    generator = "rules/colour-swap" if kind == "yes/no" else f"rules/{kind}"
    fields = {"gif": gif, "split": split, "question": question, "answer": answer}
    return {**fields, "answer_type": kind, "generator": generator}


def photo(image: str, split: str, colour: str) -> dict[str, Any]:
    """A photo of one colour: Visual7W asks for it with options, VQA whether it is red."""
    others = [name for name in ("Red.", "Green.", "Blue.", "Yellow.") if name.lower() != f"{colour}."]
    return {
        "image": image,
        "split": split,
        "dataset": "flickr8k",
        "captions": [f"A {colour} screen.", f"The screen is {colour}."],
        "qa": [
            ["What colour is it?", f"{colour.capitalize()}."],
            ["Is it red?", "yes" if colour == "red" else "no"],
        ],
        "qa_source": ["visual7w", "vqa2"],
        "qa_wrong": [others, []],
    }


@pytest.fixture
def tiny_data(tmp_path: Path, make_gif: Callable[..., Path]) -> Namespace:
    """Test photos (red, green, blue, red), a clip, three train photos, and pairs made of their captions."""
    from PIL import Image

    photos = tmp_path / "photos"
    photos.mkdir()
    seen = {"a.png": "red", "b.png": "green", "c.png": "blue", "d.png": "red"}
    for image, colour in seen.items():
        Image.new("RGB", (20, 16), {"green": (0, 255, 0)}.get(colour, colour)).save(photos / image)
    make_gif(["yellow", "yellow"], name="clip.gif")
    train = {"x.png": "green", "y.png": "green", "z.png": "red"}
    records = [photo(image, "test", colour) for image, colour in seen.items()]
    records += [photo(image, "train", colour) for image, colour in train.items()]
    pairs = []
    for split, pictures in (("test", {**seen, "clip.gif": "yellow"}), ("train", train)):
        for image, colour in pictures.items():
            pairs.append(pair(image, split, "What color is the screen?", f"the {colour}"))
            pairs.append(pair(image, split, "What is shown?", "a screen", "object"))
            pairs.append(pair(image, split, f"Is the screen {colour}?", "yes", "yes/no"))
            pairs.append(pair(image, split, "Is the screen black?", "no", "yes/no"))
    return Namespace(
        photos=photos,
        clips=tmp_path,
        photo_annotations=write_lines(tmp_path / "photos.jsonl", records),
        clip_annotations=write_lines(tmp_path / "clips.jsonl", [{"clip": "clip.gif", "split": "test"}]),
        pairs=write_lines(tmp_path / "pairs.jsonl", pairs),
    )


FINISHED_RECIPE = {
    "name": "tiny",
    "vision": {"reduced_channels": 1},
    "qformer": {
        "grid_channels": 199, "text_size": 12, "hidden_size": 32, "num_hidden_layers": 1,
        "num_attention_heads": 2, "num_query_tokens": 4, "max_frames": 8,
    },
    "language": {"num_frames": 2, "lora_rank": 2, "precision": "fp32"},
    "validation": {"language": {"captions": 2, "caption-open": 2}},
}  # fmt: skip


@pytest.fixture
def finished_run(tmp_path: Path, make_language_model: Any, make_word_tokenizer: Any) -> Namespace:
    """A run on coloured pictures before its stage `language`: `run`, `data`, `pairs`, and its flags `words`.

    Of each split and colour there are two photos and a clip of three frames.
    """
    import torch
    from training.conftest import COLOURS, WordTower, write_store

    from gifqa.model.dual_encoder import DualEncoderHeads
    from gifqa.training.data.sources import read_dataset
    from gifqa.training.data.store import TextStore
    from gifqa.training.data.targets import common_answers, common_words
    from gifqa.training.loop.checkpoints import save_weights
    from gifqa.training.qformer import PretrainingQFormer
    from gifqa.training.recipe import Recipe
    from gifqa.training.run_state import Inputs
    from gifqa.training.towers import texts_of

    data, folder, pairs = tmp_path / "data", tmp_path / "run", tmp_path / "pairs.jsonl"
    names = write_coloured_data(data, pairs, list(COLOURS))
    write_store(folder / "features", names, channels=199, cells=81)
    inputs = Inputs(data, (pairs,))
    annotations = read_dataset(data, (pairs,)).annotations
    texts = sorted(texts_of(annotations.values()))
    (folder / "texts").mkdir()
    store = TextStore(WordTower(), make_word_tokenizer(texts), texts)
    store.save(folder / "texts" / "texts.pt")
    tokenizer = make_word_tokenizer([*texts, "Question : Answer : Describe the GIF . ; Frames an image s in"])
    language_model = make_language_model(tokenizer.get_vocab_size())
    language_model.save_pretrained(folder / "language-model")
    tokenizer.save(str(folder / "language-model" / "tokenizer.json"))
    answers = common_answers(annotations["train"].samples, 1, 100)
    words = common_words(annotations["train"], answers, 1)
    vocabulary = {"answers": answers, "words": words, "norm": 0.2}
    (folder / "vocabulary.json").write_text(json.dumps(vocabulary), encoding="utf-8")
    recipe = Recipe.model_validate(FINISHED_RECIPE)
    torch.manual_seed(0)
    qformer = PretrainingQFormer(recipe.qformer, store.sentence(answers), torch.zeros(len(words), 32), 0.2)
    for stage, module in {"qformer": qformer, "dual-encoder": DualEncoderHeads(199, 5, 12)}.items():
        (folder / stage).mkdir()
        save_weights(folder / stage / "best.safetensors", module.state_dict())
    config = recipe.model_dump(mode="json") | {"inputs": inputs.checksums()}
    (folder / "recipe.json").write_text(json.dumps(config), encoding="utf-8")
    words = [folder, "--data", data, "--pairs", pairs, "--threads", 1]
    return Namespace(run=folder, data=data, pairs=pairs, words=words)


def write_coloured_data(data: Path, pairs: Path, colours: list[str]) -> list[str]:
    """Photos, clips and questions of two splits; returns the names of all pictures."""
    from PIL import Image

    photos, clips, questions = [], [], []
    for split in ("train", "val"):
        for place, colour in enumerate(colours):
            other = colours[place - 1]
            value = Image.new("RGB", (1, 1), colour).getpixel((0, 0))
            names = [f"{split}/{colour}-{number}.jpg" for number in range(2)]
            for name in names:
                photos.append({"image": name, "split": split, "captions": [f"a {colour} screen"]})
                path = data / "photos" / "images" / name
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.new("RGB", (8, 8), colour).save(path)
            clip = f"{split}/{colour}-2.webp"
            clips.append({"clip": clip, "split": split, "description": f"the screen is {colour}"})
            path = data / "clips" / clip
            path.parent.mkdir(parents=True, exist_ok=True)
            shades = [tuple(part // (1 + step) for part in value) for step in range(3)]
            first, *others = (Image.new("RGB", (8, 8), shade) for shade in shades)
            first.save(path, save_all=True, append_images=others, duration=100, lossless=True)
            for name in (*names, clip):
                questions.append(pair(name, split, "what colour is it ?", colour))
                questions.append(pair(name, split, f"is it {colour} ?", "yes", "yes/no"))
                questions.append(pair(name, split, f"is it {other} ?", "no", "yes/no"))
    write_lines(data / "photos" / "captions.jsonl", photos)
    write_lines(data / "clips" / "clips.jsonl", clips)
    write_lines(pairs, questions)
    return [line["image"] for line in photos] + [line["clip"] for line in clips]
