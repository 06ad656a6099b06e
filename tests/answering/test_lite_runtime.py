"""The runtime of a bundle: each file opened once or told in one line, and what the graphs are fed."""

import threading
import time

import numpy as np
import pytest

from gifqa.answering.bundle import Bundle, write_checksums
from gifqa.answering.lite_runtime import LiteRuntime, spread
from gifqa.errors import CheckpointError


@pytest.fixture
def runtime(write_bundle):
    return LiteRuntime(Bundle(write_bundle()))


def in_threads(work, count=6):
    """What `work` gives in each of some threads that start together."""
    start, found = threading.Barrier(count), []

    def run():
        start.wait()
        found.append(work())

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def test_threads_open_the_decoder_once(runtime, monkeypatch):
    """It was a plain cached property: two first questions at once held two decoders in memory."""
    opened = []

    def open_decoder(name):
        opened.append(name)
        time.sleep(0.02)
        return object()

    monkeypatch.setattr(runtime, "_open_decoder", open_decoder)
    found = in_threads(lambda: runtime.decoder)

    assert opened == ["decoder.onnx"]
    assert len(found) == 6 and all(decoder is found[0] for decoder in found)


def test_a_file_that_failed_is_tried_again(runtime):
    for _ in range(2):
        with pytest.raises(CheckpointError, match=r"decoder.onnx of the bundle .* cannot be opened"):
            _ = runtime.decoder


def test_a_graph_that_is_none_is_one_error_and_not_a_word_by_onnx_runtime(runtime, capfd):
    with pytest.raises(
        CheckpointError, match=r"vision.onnx of the bundle .* cannot be opened \(.*Export the bundle again"
    ):
        runtime.see(np.zeros((1, 4, 4, 3), np.uint8))
    assert capfd.readouterr() == ("", "")


def test_a_broken_graph_is_one_line_of_the_command_line(write_bundle, make_gif, capfd):
    from gifqa.cli.main import run

    code = run(["ask", str(make_gif(["red"])), "What is it?", "--model", str(write_bundle())])
    out, err = capfd.readouterr()

    assert (code, out) == (1, "")
    assert err.startswith("gifqa: vision.onnx of the bundle ") and err.count("\n") == 1


def test_a_tokenizer_that_is_none(runtime):
    with pytest.raises(CheckpointError, match=r"tokenizer.json of the bundle .* cannot be opened \(.*Export"):
        _ = runtime.tokenizer


@pytest.mark.parametrize(
    ("count", "limit", "places"),
    [
        (3, 8, [0, 1, 2]),
        (8, 8, [0, 1, 2, 3, 4, 5, 6, 7]),
        (5, 3, [0, 2, 4]),
        (9, 3, [0, 4, 8]),
        (64, 2, [0, 63]),
        (9, 1, [0]),
    ],
)
def test_frames_that_are_read_are_spread_over_all(count, limit, places):
    assert spread(count, limit).tolist() == places


@pytest.mark.parametrize("count", range(1, 65))
def test_no_frame_is_read_twice_or_out_of_order(count):
    places = spread(count, 8)

    assert len(places) == min(count, 8)
    assert (np.diff(places) > 0).all() and places[-1] <= count - 1


@pytest.fixture
def write_graph():
    """`write_graph(path, nodes, inputs, outputs, constants={})`: an ONNX file of a few nodes."""
    onnx = pytest.importorskip("onnx")
    helper = onnx.helper

    def write(path, nodes, inputs, outputs, constants=None):
        def values(described):
            return [
                helper.make_tensor_value_info(name, onnx.TensorProto.DataType.Value(kind), shape)
                for name, (kind, shape) in described.items()
            ]

        graph = helper.make_graph(
            [helper.make_node(kind, given, made, **settings) for kind, given, made, settings in nodes],
            "tiny",
            values(inputs),
            values(outputs),
            [onnx.numpy_helper.from_array(array, name) for name, array in (constants or {}).items()],
        )
        opsets = [helper.make_opsetid("", 17)]
        onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), str(path))

    return write


@pytest.fixture
def vision_bundle(write_bundle, write_graph):
    """A bundle whose vision tower gives a frame's mean colour as embedding, and by column as grid."""
    folder = write_bundle()
    write_graph(
        folder / "vision.onnx",
        [
            ("Cast", ["pixels"], ["floats"], {"to": 1}),
            ("ReduceMean", ["floats"], ["grid"], {"axes": [1], "keepdims": 0}),
            ("ReduceMean", ["floats"], ["embedding"], {"axes": [1, 2], "keepdims": 0}),
        ],
        {"pixels": ("UINT8", ["n", 4, 4, 3])},
        {"grid": ("FLOAT", ["n", 4, 3]), "embedding": ("FLOAT", ["n", 3])},
    )
    write_checksums(folder)
    return folder


def test_frames_of_any_size_are_seen_in_their_order(vision_bundle):
    pixels = np.stack([np.full((7, 9, 3), (10 * index, 5, 250), np.uint8) for index in range(19)])
    grid, embeddings = LiteRuntime(Bundle(vision_bundle)).see(pixels)

    assert grid.shape == (19, 4, 3) and grid.dtype == np.float16
    assert embeddings[:, 0].tolist() == [10 * index for index in range(19)]
    assert (embeddings[:, 2] == 250).all(), "the colours are in another order"


@pytest.fixture
def text_bundle(write_bundle, write_graph):
    """A bundle whose text tower gives each token's number as its state, and their mean as the sentence."""
    tokenizers = pytest.importorskip("tokenizers")
    folder = write_bundle()
    write_graph(
        folder / "text.onnx",
        [
            ("Cast", ["input_ids"], ["numbers"], {"to": 1}),
            ("Unsqueeze", ["numbers", "last"], ["token_states"], {}),
            ("ReduceMean", ["numbers"], ["sentence"], {"axes": [1], "keepdims": 1}),
            ("Cast", ["attention_mask"], ["seen"], {"to": 1}),
            ("ReduceSum", ["seen", "last"], ["embedding"], {"keepdims": 1}),
        ],
        {"input_ids": ("INT64", ["b", "t"]), "attention_mask": ("INT64", ["b", "t"])},
        {
            "token_states": ("FLOAT", ["b", "t", 1]),
            "sentence": ("FLOAT", ["b", 1]),
            "embedding": ("FLOAT", ["b", 1]),
        },
        {"last": np.array([-1])},
    )
    vocabulary = {"<pad>": 0, "<unk>": 1, "a": 2, "red": 3, "ball": 4}
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    tokenizer.save(str(folder / "text_tokenizer.json"))
    write_checksums(folder)
    return folder


def test_texts_are_padded_and_cut(text_bundle):
    states, mask, _, lengths = LiteRuntime(Bundle(text_bundle)).read_texts(["a red ball", "ball", "a " * 99])

    assert states[..., 0].tolist() == [[2, 3, 4, 0, 0], [4, 0, 0, 0, 0], [2] * 5]
    assert mask.dtype == bool and mask.sum(axis=1).tolist() == [3, 1, 5]
    assert lengths[:, 0].tolist() == [3, 1, 5]


@pytest.fixture
def reader_bundle(text_bundle, write_graph):
    """A text bundle whose reader gives the mean of each frame it was given; the question is unread."""
    write_graph(
        text_bundle / "reader.onnx",
        [
            ("ReduceMean", ["grid"], ["visual_tokens"], {"axes": [2, 3], "keepdims": 0}),
            ("ReduceMean", ["grid"], ["answer_logits"], {"axes": [1, 2], "keepdims": 0}),
            ("Identity", ["answer_logits"], ["answer_state"], {}),
        ],
        {"grid": ("FLOAT", ["b", "f", 2, 1])},
        {
            "visual_tokens": ("FLOAT", ["b", "f"]),
            "answer_logits": ("FLOAT", ["b", 1]),
            "answer_state": ("FLOAT", ["b", 1]),
        },
    )
    write_checksums(text_bundle)
    return text_bundle


def test_of_too_many_frames_some_of_all_are_read(reader_bundle):
    """The first ones were, and the end of the GIF was never looked at."""
    grid = np.arange(7, dtype=np.float16)[:, None, None] * np.ones((1, 2, 1), np.float16)
    tokens, _, _ = LiteRuntime(Bundle(reader_bundle)).read_frames(grid, "a red ball")

    assert tokens.tolist() == [0, 3, 6]


def test_a_graph_with_inputs_that_nobody_gives(text_bundle):
    (text_bundle / "reader.onnx").write_bytes((text_bundle / "text.onnx").read_bytes())
    write_checksums(text_bundle)

    with pytest.raises(
        CheckpointError, match=r"reader.onnx of the bundle .* wants input_ids.*it is given grid.*Export"
    ):
        LiteRuntime(Bundle(text_bundle)).read_frames(np.zeros((1, 2, 1), np.float16), "a ball")


@pytest.fixture
def decoder_bundle(write_bundle, write_graph):
    """`decoder_bundle(words=, heads=, ...)`: a bundle whose language model is one layer, or does not fit."""

    def write(words=6, heads=1, head_size=6, name="past_key_values.0.value"):
        folder = write_bundle()
        cache = ("FLOAT", ["b", heads, "past", head_size])
        write_graph(
            folder / "decoder.onnx",
            [
                ("Identity", ["inputs_embeds"], ["logits"], {}),
                ("Identity", ["past_key_values.0.key"], ["present.0.key"], {}),
                ("Identity", [name], ["present.0.value"], {}),
            ],
            {
                "inputs_embeds": ("FLOAT", ["b", "s", words]),
                "attention_mask": ("INT64", ["b", "t"]),
                "past_key_values.0.key": cache,
                name: cache,
            },
            {"logits": ("FLOAT", ["b", "s", words]), "present.0.key": cache, "present.0.value": cache},
        )
        write_checksums(folder)
        return folder

    return write


@pytest.mark.parametrize("head_size", [6, "kv_cache_dim"])
def test_a_decoder_that_fits_is_opened_and_read(decoder_bundle, head_size):
    decoder = LiteRuntime(Bundle(decoder_bundle(head_size=head_size))).decoder

    assert decoder.read(decoder.embed([3])).logits.argmax() == 3


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"words": 7}, r"the input inputs_embeds is float \(\?, \?, 7\), and float \(\?, \?, 6\) is needed"),
        (
            {"heads": 2},
            r"past_key_values.0.key is float \(\?, 2, \?, 6\), and float \(\?, 1, \?, 6\) is needed",
        ),
        ({"head_size": 9}, r"past_key_values.0.key is float \(\?, 1, \?, 9\), and float"),
        ({"name": "cache"}, r"the input past_key_values.0.value is not there, and float"),
    ],
)
def test_a_decoder_of_another_model_is_one_line(decoder_bundle, other, message):
    """It was a traceback of ONNX Runtime in the middle of the first answer."""
    runtime = LiteRuntime(Bundle(decoder_bundle(**other)))

    with pytest.raises(
        CheckpointError, match=rf"decoder.onnx of the bundle .* {message}.* Export the bundle"
    ):
        _ = runtime.decoder


FEEDS = {
    "inputs_embeds": np.zeros((1, 1, 6), np.float32),
    "attention_mask": np.ones((1, 1), np.int64),
    "past_key_values.0.key": np.zeros((1, 1, 0, 6), np.float32),
    "past_key_values.0.value": np.zeros((1, 1, 0, 6), np.float32),
}


def test_a_graph_that_breaks_while_it_runs_is_one_line(decoder_bundle, capfd):
    """A size that the graph leaves open shows only when it runs."""
    folder = decoder_bundle(heads="heads")
    decoder = LiteRuntime(Bundle(folder)).decoder
    decoder._graph.run(["logits"], {**FEEDS, "past_key_values.0.key": np.zeros((1, 5, 0, 6), np.float32)})

    with pytest.raises(CheckpointError, match=r"decoder.onnx of the bundle .* does not run \(.*Export the"):
        decoder._graph.run(["logits"], {**FEEDS, "inputs_embeds": np.zeros((1, 1, 5), np.float32)})
    assert capfd.readouterr() == ("", "")


def test_outputs_that_a_graph_does_not_have_are_one_line(vision_bundle):
    runtime = LiteRuntime(Bundle(vision_bundle))

    with pytest.raises(CheckpointError, match=r"vision.onnx of the bundle .* does not run \(.*Export"):
        runtime._run("vision.onnx", ("depth",), {"pixels": np.zeros((1, 4, 4, 3), np.uint8)})
