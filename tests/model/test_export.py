"""From torch to a bundle: the exported graphs give what the modules give, in fewer bytes."""

import json
import shutil
from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")
ort = pytest.importorskip("onnxruntime")
tokenizers = pytest.importorskip("tokenizers")
transformers = pytest.importorskip("transformers")

from gifqa.answering.bundle import LANGUAGE_MODEL, REQUIRED, Bundle  # noqa: E402
from gifqa.errors import CheckpointError  # noqa: E402
from gifqa.model import export  # noqa: E402
from gifqa.model.dual_encoder import DualEncoderHeads  # noqa: E402
from gifqa.model.language import int4_values  # noqa: E402
from gifqa.model.pooled_frames import PooledFrames  # noqa: E402
from gifqa.model.qformer import QFormer, QFormerConfig  # noqa: E402
from gifqa.model.qformer_heads import AnswerHead, LanguageProjection  # noqa: E402
from gifqa.model.text import TextTower  # noqa: E402
from gifqa.model.vision_language_model import VisionLanguageModel  # noqa: E402

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # torch's tracing exporter, of itself
    pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning"),
    pytest.mark.filterwarnings("ignore:Exporting aten..index operator"),  # of BERT's positions, none negative
]

CELLS, CHANNELS, POOLED, TEXT_SIZE, WORDS = 4, 6, 5, 16, 40
ANSWERS = ("yes", "no", "red")
CONFIG = QFormerConfig(
    grid_channels=CHANNELS, grid_size=CELLS, text_size=TEXT_SIZE, hidden_size=32, num_hidden_layers=2,
    num_attention_heads=4, num_query_tokens=3, max_frames=4, dropout=0.1,
)  # fmt: skip


class TinyVision(torch.nn.Module):
    """Stands for the vision tower: a frame's quarters and their colours."""

    def __init__(self):
        super().__init__()
        self.cell, self.pooled = torch.nn.Linear(3, CHANNELS), torch.nn.Linear(3, POOLED)

    def forward(self, pixels):
        image = pixels.permute(0, 3, 1, 2).float() / 255
        quarters = torch.nn.functional.avg_pool2d(image, 130).flatten(2).transpose(1, 2)
        return self.cell(quarters), self.pooled(quarters.mean(1))


def word_tokenizer():
    vocabulary = {word: index for index, word in enumerate(["<pad>", "<unk>", "<eos>", "yes", "no", "red"])}
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    return tokenizer


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    """Everything a bundle is made of, as small as it goes, with random weights."""
    torch.manual_seed(0)
    bert = transformers.BertConfig(
        vocab_size=WORDS, hidden_size=TEXT_SIZE, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=32, max_position_embeddings=40, attn_implementation="eager",
    )  # fmt: skip
    llama = transformers.LlamaConfig(
        hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, vocab_size=WORDS, tie_word_embeddings=True, eos_token_id=2, bos_token_id=1,
        pad_token_id=0, architectures=["LlamaForCausalLM"], max_position_embeddings=128,
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("parts") / "language"
    llama.save_pretrained(folder)
    word_tokenizer().save(str(folder / "tokenizer.json"))
    answerer = VisionLanguageModel(
        QFormer(CONFIG),
        LanguageProjection(32, 64, 0.7),
        AnswerHead(32, torch.randn(len(ANSWERS), TEXT_SIZE)),
        transformers.LlamaForCausalLM(llama),
    )
    return export.Parts(
        vision=TinyVision().eval(),
        text=TextTower(transformers.BertModel(bert, add_pooling_layer=False)).eval(),
        text_tokenizer=word_tokenizer(),
        dual_encoder=DualEncoderHeads(CHANNELS, POOLED, TEXT_SIZE, size=24).eval(),
        answerer=answerer.eval(),
        language_folder=folder,
        answers=ANSWERS,
        references=torch.nn.functional.normalize(torch.randn(7, 24), dim=-1),
    )


@pytest.fixture(scope="module")
def folder(parts, tmp_path_factory):
    """A bundle of the parts, but for the decoder, whose builder takes half a minute.

    `test_a_whole_bundle_answers_as_torch_does` has that too.
    """
    folder = tmp_path_factory.mktemp("bundle") / "made"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(export, "_export_decoder", lambda _, path: path.write_bytes(b"a decoder"))
        export.export_bundle(parts, folder, name="tiny", version="3.2.1")
    return folder


def run_graph(path, **feeds):
    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return session.run(None, {name: np.asarray(value) for name, value in feeds.items()})


def close(tensors, arrays, tolerance):
    return all(
        np.abs(tensor.detach().numpy() - array).max() <= tolerance * max(1, np.abs(array).max())
        for tensor, array in zip(tensors, arrays, strict=True)
    )


@pytest.mark.parametrize("count", [1, 3])
def test_the_vision_graph_sees_what_the_tower_sees(parts, folder, count):
    pixels = torch.randint(0, 256, (count, 260, 260, 3), dtype=torch.uint8)
    grid, pooled = parts.vision(pixels)
    outputs = run_graph(folder / "vision.onnx", pixels=pixels)

    assert close([grid, parts.dual_encoder.encode_frames(grid, pooled)], outputs, 1e-2)
    assert np.allclose(np.linalg.norm(outputs[1], axis=1), 1, atol=1e-4)


@pytest.mark.parametrize("shape", [(1, 3), (4, 11)])
def test_the_text_graph_reads_what_the_tower_reads(parts, folder, shape):
    ids = torch.randint(3, WORDS, shape)
    mask = torch.ones_like(ids)
    mask[-1, 2:] = 0
    _, sentence = parts.text(ids, mask)
    outputs = run_graph(folder / "text.onnx", input_ids=ids, attention_mask=mask)

    assert [output.shape for output in outputs] == [
        (*shape, TEXT_SIZE),
        (shape[0], TEXT_SIZE),
        (shape[0], 24),
    ]
    # each in 8 bits: the direction is what counts
    for exact, rounded in zip(
        [sentence, parts.dual_encoder.encode_texts(sentence)], outputs[1:], strict=True
    ):
        assert ((exact.detach().numpy() * rounded).sum(axis=1) > 0.98).all()


def read_both(model, path, num_frames, num_words):
    """The reader's outputs in torch and by the graph, for random frames and words."""
    inputs = {
        "grid": torch.randn(1, num_frames, CELLS, CHANNELS),
        "frame_mask": torch.ones(1, num_frames, dtype=torch.bool),
        "question": torch.randn(1, num_words, TEXT_SIZE),
        "question_mask": torch.ones(1, num_words, dtype=torch.bool),
    }
    states = model.connector(*inputs.values())
    exact = [
        model.language_projection(states),
        model.answer_head(states),
        model.answer_head.state(states[:, 0]),
    ]
    wanted = {node.name for node in ort.InferenceSession(str(path)).get_inputs()}
    return exact, run_graph(path, **{name: value for name, value in inputs.items() if name in wanted})


@pytest.mark.parametrize(("num_frames", "num_words"), [(1, 2), (4, 12)])
def test_torch_and_the_reader_graph_agree(parts, folder, num_frames, num_words):
    exact, outputs = read_both(parts.answerer, folder / "reader.onnx", num_frames, num_words)

    assert [output.shape for output in outputs] == [(1, 3, 64), (1, len(ANSWERS)), (1, 32)]
    assert close(exact, outputs, 0.06)


def test_the_reader_of_the_pooled_baseline_is_exported_too(parts, tmp_path):
    """It looks at no question: the graph may lack those inputs, which the runtime allows for."""
    given = parts.answerer
    heads = given.language_projection, given.answer_head
    pooled = VisionLanguageModel(PooledFrames(CONFIG), *heads, given.language_model).eval()
    export._export_reader(replace(parts, answerer=pooled), tmp_path / "reader.onnx")
    exact, outputs = read_both(pooled, tmp_path / "reader.onnx", 2, 5)

    assert close(exact, outputs, 0.06)


def matmul_model(weights, names=None):
    """A graph that multiplies by each of the weights in turn; nodes are named as the builder names them."""
    helper = onnx.helper
    places = ["x", *(f"y{index}" for index in range(len(weights)))]
    nodes = [
        helper.make_node("MatMul", [places[i], f"{name}.weight"], [places[i + 1]], name=f"/{name}/MatMul")
        for i, name in enumerate(names or [f"m{i}" for i in range(len(weights))])
    ]
    constants = [
        onnx.numpy_helper.from_array(weight, node.input[1])
        for weight, node in zip(weights, nodes, strict=True)
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["n", weights[0].shape[0]])],
        [helper.make_tensor_value_info(places[-1], onnx.TensorProto.FLOAT, ["n", weights[-1].shape[1]])],
        constants,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)


def random_weights(*shapes):
    chance = np.random.default_rng(3)
    return [(chance.normal(size=shape) / np.sqrt(shape[0])).astype(np.float32) for shape in shapes]


def test_float16_halves_the_file_and_keeps_the_outputs(tmp_path):
    weights = random_weights((64, 96), (96, 64))
    path = tmp_path / "graph.onnx"
    onnx.save(matmul_model(weights), str(path))
    before, size = run_graph(path, x=np.eye(64, dtype=np.float32))[0], path.stat().st_size
    export.store_as_float16(path)
    after = run_graph(path, x=np.eye(64, dtype=np.float32))[0]

    assert path.stat().st_size < 0.6 * size
    assert after.dtype == np.float32
    assert 0 < np.abs(after - before).max() < 1e-2


def test_float16_leaves_small_and_huge_weights_alone(tmp_path):
    small, huge = np.ones((4, 4), np.float32), np.full((4, 400), 1e5, np.float32)
    path = tmp_path / "graph.onnx"
    onnx.save(matmul_model([small, huge]), str(path))
    before = path.read_bytes()
    export.store_as_float16(path)

    assert [weight.data_type for weight in onnx.load(str(path)).graph.initializer] == [
        onnx.TensorProto.FLOAT
    ] * 2
    assert run_graph(path, x=np.eye(4, dtype=np.float32))[0].max() == 4e5
    assert len(path.read_bytes()) == len(before)


NAMES = ["model/layers.0/attn/q_proj", "model/layers.0/mlp/gate_proj", "model/layers.0/mlp/down_proj"]


def quantised(weights):
    return export.quantize_decoder(matmul_model(weights, NAMES))


def test_gate_and_up_are_in_4_bits_and_the_rest_in_8():
    model = quantised(random_weights((64, 64), (64, 128), (128, 64)))
    bits = {
        node.name: attribute.i
        for node in model.graph.node
        for attribute in node.attribute
        if attribute.name == "bits"
    }

    assert {node.op_type for node in model.graph.node} == {"MatMulNBits"}
    assert sorted(bits.values()) == [4, 8, 8]
    assert all((number == 4) == ("gate_proj" in name) for name, number in bits.items())


def test_what_training_rounds_to_is_what_4_bits_hold(tmp_path):
    """`int4_values` foresees ONNX Runtime's blocks: weights it rounded lose nothing by being quantised."""
    (weight,) = random_weights((64, 96))
    rounded = int4_values(torch.from_numpy(weight.T.copy())).numpy().T.copy()
    vectors = np.eye(64, dtype=np.float32)

    def outputs(given):
        model = export.quantize_decoder(matmul_model([given], NAMES[1:2]))
        for node in model.graph.node:
            for attribute in node.attribute:
                attribute.i = 0 if attribute.name == "accuracy_level" else attribute.i
        onnx.save(model, str(tmp_path / "graph.onnx"))
        return run_graph(tmp_path / "graph.onnx", x=vectors)[0]

    assert np.abs(outputs(weight) - weight).max() > 1e-2
    assert np.abs(outputs(rounded) - rounded).max() < 1e-4
    assert np.abs(outputs(weight) - rounded).max() < 1e-4


def test_a_decoder_is_saved_in_three_files_that_belong_together(tmp_path):
    weights = random_weights((64, 64), (64, 128), (128, 64))
    path = tmp_path / "decoder.onnx"
    (tmp_path / "decoder.onnx.stale").write_bytes(b"of the last export")
    export.save_in_two(quantised(weights), path)

    files = {file.name: file.stat().st_size for file in tmp_path.iterdir()}
    assert set(files) == {"decoder.onnx", "decoder.onnx.4bit", "decoder.onnx.8bit"}
    assert files["decoder.onnx.4bit"] == pytest.approx(64 * 128 / 2, rel=0.1)
    assert files["decoder.onnx.8bit"] == pytest.approx(64 * 64 + 128 * 64, rel=0.1)
    given = np.random.default_rng(0).normal(size=(5, 64)).astype(np.float32)
    exact = given @ weights[0] @ weights[1] @ weights[2]
    error = run_graph(path, x=given)[0] - exact
    assert np.linalg.norm(error) < 0.15 * np.linalg.norm(exact)


def test_word_embeddings_are_kept_to_half_a_step_of_their_scale(parts, folder):
    words = parts.answerer.language_model.get_input_embeddings().weight.detach().numpy()
    with np.load(folder / "embeddings.npz") as arrays:
        stored = arrays["words"] * arrays["scales"][:, None]
        assert (np.abs(stored - words) <= arrays["scales"][:, None] / 2 + 1e-7).all()
        assert np.allclose(arrays["references"], parts.references, atol=1e-3)


def test_a_row_of_zeros_stays_one(parts, tmp_path):
    answerer = deepcopy(parts.answerer)
    with torch.no_grad():
        answerer.language_model.get_input_embeddings().weight[7] = 0
    export._write_embeddings(replace(parts, answerer=answerer), tmp_path / "embeddings.npz")
    with np.load(tmp_path / "embeddings.npz") as arrays:
        assert not (arrays["words"][7] * arrays["scales"][7]).any()


def test_a_bundle_has_all_its_files_and_the_shapes_of_the_model(folder):
    bundle = Bundle(folder)
    config = bundle.config

    assert {file.name for file in folder.iterdir()} == REQUIRED | {"checksums.json", LANGUAGE_MODEL}
    assert (config.name, config.version, config.format) == ("tiny", "3.2.1", 1)
    assert (config.num_visual_tokens, config.max_frames, config.eos_token_id) == (3, 4, 2)
    assert (config.num_layers, config.num_key_value_heads, config.head_size) == (2, 2, 16)
    assert list(bundle.answers) == list(ANSWERS)
    assert bundle.embeddings.words.shape == (WORDS, 64)
    assert json.loads((folder / "text_tokenizer.json").read_text())["model"]["vocab"]["red"] == 5


def test_a_config_is_written_with_checksums_that_cover_it(folder, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    config = Bundle(folder).config
    export.write_config(config.model_copy(update={"figures": {"accuracy": 0.5}}), copy)

    assert Bundle(copy).config.figures == {"accuracy": 0.5}
    assert Bundle(copy).digest != Bundle(folder).digest


def test_a_builder_that_fails_is_told_with_what_it_said(parts, tmp_path, monkeypatch):
    monkeypatch.setattr(export.sys, "executable", "/bin/false")

    with pytest.raises(CheckpointError, match=r"language cannot be exported by the builder .*Choose another"):
        export._export_decoder(parts, tmp_path / "decoder.onnx")
    assert not list(tmp_path.glob("decoder.onnx*"))


@pytest.mark.slow
def test_a_whole_bundle_answers_as_torch_does(parts, tmp_path):
    """The real builder, and the runtime on what it built."""
    pytest.importorskip("onnxruntime_genai")
    from gifqa.answering.lite import LiteRuntime, load_lite

    export.export_bundle(parts, tmp_path / "bundle", name="tiny", version="1")
    decoder = LiteRuntime(Bundle(tmp_path / "bundle")).decoder
    embeds = decoder.embed([3, 9, 12, 30])
    logits = parts.answerer.language_model(inputs_embeds=torch.from_numpy(embeds)[None]).logits[0, -1]
    prefix = decoder.read(embeds)
    exact = logits.log_softmax(-1).detach().numpy()
    assert np.abs(np.log(np.exp(prefix.logits) / np.exp(prefix.logits).sum()) - exact).max() < 0.05

    together = decoder.log_likelihoods(prefix, [[4], [5, 6], []])
    alone = [decoder.log_likelihoods(prefix, [answer])[0] for answer in ([4], [5, 6], [])]
    assert np.allclose(together, alone, atol=1e-3)

    encoder, answerer = load_lite(tmp_path / "bundle")
    features = encoder.encode_frames(np.zeros((2, 30, 40, 3), np.uint8))
    opinions = answerer.weigh(features.grid, features.embeddings, "no red ?", ["red", "yes"])
    assert all(np.isfinite(part).all() for part in (opinions.head, opinions.language, opinions.fit))
