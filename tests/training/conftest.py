"""A world small enough to train on in a test: pictures of one colour, and questions about that colour.

annotations   captions, open and yes/no questions, four-way choices about each picture
store         a `FeatureStore` of 4 cells with 6 channels, the first three of which are the colour
texts         a `TextStore` whose tower is one table of word vectors
"""

import json

import numpy as np
import pytest

torch = pytest.importorskip("torch")

COLOURS = {"red": (1, 0, 0), "green": (0, 1, 0), "blue": (0, 0, 1), "white": (1, 1, 1)}
TEXT_SIZE = 12
CELLS, CHANNELS, POOLED = 4, 6, 5


class WordTower(torch.nn.Module):
    """A text tower without context: each word has a random vector, a sentence is their mean."""

    def __init__(self, vocabulary_size=200):
        super().__init__()
        generator = torch.Generator().manual_seed(7)
        self.register_buffer("table", torch.randn(vocabulary_size, TEXT_SIZE, generator=generator))

    def forward(self, input_ids, attention_mask):
        states = self.table[input_ids]
        weights = attention_mask.unsqueeze(-1).float()
        mean = (states * weights).sum(1) / weights.sum(1)
        return states, torch.nn.functional.normalize(mean, dim=-1)


def colour_of(name):
    """The colour that a picture of this world is named after."""
    return name.split("/")[1].split("-")[0]


def make_annotations(num_each=3):
    from gifqa.training.data.samples import Annotations, Sample

    found = Annotations()
    for number in range(num_each):
        for place, colour in enumerate(COLOURS):
            suffix = "webp" if number == 1 else "jpg"
            name = f"world/{colour}-{number}.{suffix}"
            other = list(COLOURS)[place - 1]
            found.captions[name] = (f"a {colour} screen", f"the screen is {colour}")
            found.labels[name] = (colour,)
            wrong = [word for word in COLOURS if word != colour]
            found.samples += [
                Sample(name, "what colour is it ?", colour, "caption-open", "colour"),
                Sample(name, f"is it {colour} ?", "yes", "caption-yes/no", "yes/no"),
                Sample(name, f"is it {other} ?", "no", "caption-yes/no", "yes/no"),
                Sample(name, "which colour ?", colour, "visual7w", "human", (colour, *wrong)),
            ]
    return found


def write_store(folder, names, channels=CHANNELS, cells=CELLS, pooled=POOLED):
    """The files of a `FeatureStore`: 2 views of a photo, 3 frames of a clip, colour plus a little noise."""
    chance = np.random.default_rng(0)
    items, grids = {}, []
    for name in names:
        is_clip = name.endswith(".webp")
        count = 3 if is_clip else 2
        items[name] = {
            "rows": list(range(len(grids), len(grids) + count)),
            "flipped": [not is_clip and view == 1 for view in range(count)],
            "pts_seconds": [0.1 * frame if is_clip else 0.0 for frame in range(count)],
            "is_clip": is_clip,
        }
        colour = np.resize(COLOURS[colour_of(name)], channels).astype(np.float32)
        grids += [colour + chance.normal(0, 0.05, (cells, channels)) for _ in range(count)]
    folder.mkdir(parents=True, exist_ok=True)
    grid = np.stack(grids).astype(np.float16)
    np.save(folder / "grid.npy", grid)
    np.save(folder / "pooled.npy", np.resize(grid.mean(1), (len(grid), pooled)))
    (folder / "index.json").write_text(json.dumps({"items": items, "done": len(grid), "seen": len(grid)}))


@pytest.fixture
def annotations():
    return make_annotations()


@pytest.fixture
def store(tmp_path, annotations):
    from gifqa.training.data.store import FeatureStore

    write_store(tmp_path / "features", annotations.captions)
    return FeatureStore(tmp_path / "features")


@pytest.fixture
def world_texts(annotations):
    """Every text of the annotations."""
    from gifqa.training.towers import texts_of

    return sorted(texts_of([annotations]))


@pytest.fixture
def word_tower():
    return WordTower()


@pytest.fixture
def texts(word_tower, world_texts, make_word_tokenizer):
    from gifqa.training.data.store import TextStore

    return TextStore(word_tower, make_word_tokenizer(world_texts), world_texts)


@pytest.fixture
def targets(annotations):
    from gifqa.training.data.targets import Targets, common_answers, common_words

    answers = common_answers(annotations.samples, 1, 100)
    return Targets(answers, common_words(annotations, answers, 1), annotations)


@pytest.fixture
def qformer_config():
    from gifqa.model.qformer import QFormerConfig

    return QFormerConfig(
        grid_channels=CHANNELS, grid_size=CELLS, text_size=TEXT_SIZE, hidden_size=32, num_hidden_layers=2,
        num_attention_heads=4, num_query_tokens=5, max_frames=4, dropout=0.1,
    )  # fmt: skip


def write_tower_file(path, channels):
    """A vision tower as ONNX: each of the 81 cells is the frame's mean colour, and so is the pooled head."""
    onnx = pytest.importorskip("onnx")
    helper, kind = onnx.helper, onnx.TensorProto
    constants = {
        "axes": np.array([1, 2], np.int64),
        "one": np.array([1], np.int64),
        "cells": np.ones((1, 81, 1), np.float32),
        "cell_width": np.eye(3, channels, dtype=np.float32),
        "head_width": np.eye(3, 1280, dtype=np.float32),
    }
    nodes = [
        helper.make_node("Cast", ["pixels"], ["floats"], to=kind.FLOAT),
        helper.make_node("ReduceMean", ["floats", "axes"], ["mean"], keepdims=0),
        helper.make_node("MatMul", ["mean", "head_width"], ["pooled"]),
        helper.make_node("MatMul", ["mean", "cell_width"], ["cell"]),
        helper.make_node("Unsqueeze", ["cell", "one"], ["row"]),
        helper.make_node("Mul", ["row", "cells"], ["grid"]),
    ]
    graph = helper.make_graph(
        nodes,
        "tower",
        [helper.make_tensor_value_info("pixels", kind.UINT8, ["n", 260, 260, 3])],
        [
            helper.make_tensor_value_info("grid", kind.FLOAT, ["n", 81, channels]),
            helper.make_tensor_value_info("pooled", kind.FLOAT, ["n", 1280]),
        ],
        [onnx.numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), str(path))
    return path


@pytest.fixture
def write_tower():
    """`write_tower(path, channels)`: see `write_tower_file`."""
    return write_tower_file
