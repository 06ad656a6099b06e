"""The shipped bundle read back into torch: its modules give what its graphs give."""

import json

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")
ort = pytest.importorskip("onnxruntime")
transformers = pytest.importorskip("transformers")

from gifqa.answering.bundle import LANGUAGE_MODEL, Bundle  # noqa: E402
from gifqa.errors import CheckpointError  # noqa: E402
from gifqa.model.bundle_weights import graph_weights, language_weights, load_graph  # noqa: E402
from gifqa.model.dual_encoder import ResidualHead  # noqa: E402
from gifqa.model.qformer import QFormer, QFormerConfig  # noqa: E402


@pytest.fixture(scope="module")
def bundle():
    return Bundle()


def session(path):
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def likeness(first, second):
    """Cosine of two arrays, in [-1, 1]."""
    first, second = np.ravel(first), np.ravel(second)
    return float(first @ second / np.linalg.norm(first) / np.linalg.norm(second))


def test_the_q_former_and_its_projection_are_those_of_the_reader(bundle):
    generator = torch.Generator().manual_seed(0)
    grid = torch.randn(1, 2, 81, 710, generator=generator)
    question = 0.5 * torch.randn(1, 7, 384, generator=generator)
    frame_mask, question_mask = torch.ones(1, 2).bool(), torch.ones(1, 7).bool()
    qformer, projection = QFormer(QFormerConfig()).eval(), torch.nn.Linear(384, 576)
    load_graph(qformer, bundle.path("reader.onnx"), "model.connector.", "model.qformer.")
    load_graph(projection, bundle.path("reader.onnx"), "model.language_projection.linear.")

    feed = {"grid": grid, "frame_mask": frame_mask, "question": question, "question_mask": question_mask}
    tokens = session(bundle.path("reader.onnx")).run(
        ["visual_tokens"], {name: value.numpy() for name, value in feed.items()}
    )[0]
    with torch.no_grad():
        own = torch.nn.functional.normalize(projection(qformer(*feed.values())), dim=-1)

    assert likeness(tokens, own.numpy()) > 0.995


def test_the_text_head_is_that_of_the_text_tower(bundle):
    head = ResidualHead(384, 384, 0.0).eval()
    load_graph(head, bundle.path("text.onnx"), "heads.text_head.")
    ids = np.array([[101, 1037, 4937, 102]])

    sentence, embedding = session(bundle.path("text.onnx")).run(
        ["sentence", "embedding"], {"input_ids": ids, "attention_mask": np.ones_like(ids)}
    )
    with torch.no_grad():
        own = head(torch.from_numpy(sentence)).numpy()

    assert likeness(embedding, own) > 0.995


def test_the_language_model_says_what_the_decoder_says(bundle):
    config = transformers.LlamaConfig.from_dict(json.loads(bundle.path(LANGUAGE_MODEL).read_text()))
    model, weights = transformers.LlamaForCausalLM(config).eval(), language_weights(bundle)
    assert model.load_state_dict(weights, strict=False) == (["lm_head.weight"], [])  # tied
    embeds = weights["model.embed_tokens.weight"][torch.tensor([[500, 1200, 338, 253, 2644]])]

    decoder = session(bundle.path("decoder.onnx"))
    shape = (1, bundle.config.num_key_value_heads, 0, bundle.config.head_size)
    past = {one.name: np.zeros(shape, np.float32) for one in decoder.get_inputs() if "past" in one.name}
    feed = {"inputs_embeds": embeds.numpy(), "attention_mask": np.ones((1, 5), np.int64)}
    logits = decoder.run(["logits"], feed | past)[0]
    with torch.no_grad():
        own = model(inputs_embeds=embeds).logits.numpy()

    assert likeness(logits - logits.mean(-1, keepdims=True), own - own.mean(-1, keepdims=True)) > 0.99


def test_weights_of_other_dimensions_are_refused(bundle):
    with pytest.raises(
        CheckpointError, match=r"query_tokens is \(4, 384\) here and \(16, 384\) there. Use the recipe"
    ):
        load_graph(QFormer(QFormerConfig(num_query_tokens=4)), bundle.path("reader.onnx"), "model.connector.")


def test_weights_of_another_part_are_refused(bundle):
    with pytest.raises(CheckpointError, match=r"weight is \(3, 2\) here and missing there"):
        load_graph(torch.nn.Linear(2, 3), bundle.path("text.onnx"), "heads.frame_head.linear.")


def test_a_scale_of_a_module_is_no_scale_of_a_quantised_matrix(bundle):
    weights = graph_weights(bundle.path("vision.onnx"))

    assert weights["tower.tap_scale"].shape == (198,)
    assert weights[".tower.reduction.weight"].shape == (512, 1280)
