"""A tiny random LLaVA of the real architecture, saved and loaded through the real classes."""

import math
import sys

import numpy as np
import pytest

from gifqa.answering.base import Turn
from gifqa.answering.messages import question_messages
from gifqa.errors import CheckpointError
from gifqa.retrieval.clip_cut import Keyframes

torch = pytest.importorskip("torch", reason="the extra hf is not installed")
transformers = pytest.importorskip("transformers", reason="the extra hf is not installed")

TEMPLATE = (
    "{% for message in messages %}{{ message['role'] | upper }}:"
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<image>{% else %} {{ part['text'] }}{% endif %}"
    "{% endfor %}</s>{% endfor %}"
    "{% if add_generation_prompt %}ASSISTANT:{% endif %}"
)
KEYFRAMES = Keyframes(np.array([0, 3]), np.array([0.0, 0.3]), np.array([0.1, 0.2], np.float32), None, 9, 0.9)
PIXELS = np.zeros((2, 30, 40, 3), np.uint8)
PIXELS[1, ..., 0] = 255


def byte_tokenizer():
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    specials = ["<pad>", "</s>", "<image>"]
    characters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: i for i, token in enumerate([*specials, *characters])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        eos_token="</s>",
        extra_special_tokens={"image_token": "<image>"},
    )


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A folder as `save_pretrained` writes it."""
    folder = tmp_path_factory.mktemp("llava")
    tokenizer = byte_tokenizer()
    vision = transformers.CLIPVisionConfig(
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=16,
        patch_size=8,
    )
    text = transformers.LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=1024,
        pad_token_id=0,
        eos_token_id=1,
    )
    config = transformers.LlavaConfig(
        vision_config=vision, text_config=text, image_token_id=2, image_token_index=2
    )
    torch.manual_seed(0)
    transformers.LlavaForConditionalGeneration(config).save_pretrained(folder)
    transformers.LlavaProcessor(
        image_processor=transformers.CLIPImageProcessor(size={"shortest_edge": 16}, crop_size=16),
        tokenizer=tokenizer,
        patch_size=8,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=TEMPLATE,
    ).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def answerer(checkpoint):
    from gifqa.answering.transformers import TransformersAnswerer

    return TransformersAnswerer(checkpoint, max_new_tokens=6)


def log_likelihood(answerer, checkpoint, question_text, answer_text):
    """The reference: processor and model used by hand, one step of the answer after another."""
    processor = transformers.AutoProcessor.from_pretrained(checkpoint)
    model = transformers.AutoModelForImageTextToText.from_pretrained(checkpoint).eval()
    prompt = processor(text=[question_text], images=list(PIXELS), return_tensors="pt")
    tokens = processor.tokenizer(answer_text, return_tensors="pt").input_ids[0]
    total, ids = 0.0, prompt["input_ids"]
    for token in tokens:
        with torch.inference_mode():
            logits = model(input_ids=ids, pixel_values=prompt["pixel_values"]).logits[0, -1]
        total += float(logits.log_softmax(-1)[token])
        ids = torch.cat([ids, token.view(1, 1)], dim=1)
    return total


def test_an_open_answer_has_the_probability_of_its_tokens(answerer):
    reply = answerer.answer(KEYFRAMES, "What is it?", pixels=PIXELS)

    assert reply.text and "</s>" not in reply.text and "\n" not in reply.text
    assert 0 < reply.confidence < 1
    assert reply.alternatives == ()
    assert answerer.answer(KEYFRAMES, "What is it?", pixels=PIXELS) == reply


def test_confidence_is_the_geometric_mean_of_what_the_model_gives_each_token(answerer, monkeypatch):
    seen = []
    run = answerer._model.generate

    def generate(**settings):
        seen.append(run(**settings))
        return seen[-1]

    monkeypatch.setattr(answerer._model, "generate", generate)
    reply = answerer.answer(KEYFRAMES, "What is it?", pixels=PIXELS)
    steps = [float(step[0].softmax(-1).max()) for step in seen[0].logits]

    assert reply.confidence == pytest.approx(math.prod(steps) ** (1 / len(steps)), rel=1e-4)


def test_options_are_scored_by_their_likelihood(answerer, checkpoint):
    options = ["cat", "a dog", "an elephant"]
    reply = answerer.answer(KEYFRAMES, "What is it?", pixels=PIXELS, options=options)

    prompt = (
        "USER: These are 2 frames of a GIF, 0.90 s long, in the order they are shown."
        " Frame at 0.00 s:<image> Frame at 0.30 s:<image>"
        " What is it? Choose one of these answers: cat; a dog; an elephant.</s>ASSISTANT:"
    )
    scores = [log_likelihood(answerer, checkpoint, prompt, f" {option}</s>") for option in options]
    shares = dict(zip(options, torch.tensor(scores).double().softmax(0).tolist(), strict=True))
    found = {reply.text: reply.confidence} | {other.answer: other.confidence for other in reply.alternatives}

    assert found == {option: pytest.approx(share, rel=1e-3, abs=1e-9) for option, share in shares.items()}
    assert reply.text == max(shares, key=shares.get)
    assert sum(found.values()) == pytest.approx(1)
    confidences = [other.confidence for other in reply.alternatives]
    assert confidences == sorted(confidences, reverse=True)


def test_the_frames_change_the_answer(answerer):
    options = ["cat", "dog"]
    first = answerer.answer(KEYFRAMES, "What is it?", pixels=PIXELS, options=options)
    second = answerer.answer(KEYFRAMES, "What is it?", pixels=PIXELS[::-1].copy(), options=options)

    assert first.confidence != second.confidence


def test_earlier_turns_change_the_answer(answerer):
    options = ["cat", "dog"]
    alone = answerer.answer(KEYFRAMES, "And now?", pixels=PIXELS, options=options)
    later = answerer.answer(
        KEYFRAMES, "And now?", pixels=PIXELS, options=options, history=[Turn("What is it?", "a dog")]
    )

    assert alone.confidence != later.confidence


def test_describe_answers_in_words(answerer):
    assert answerer.describe(KEYFRAMES, pixels=PIXELS).text


def test_the_whole_line_with_a_hugging_face_model(checkpoint, colour_embedder, make_gif):
    from gifqa import GifQA

    qa = GifQA(f"hf:{checkpoint}", encoder=colour_embedder)
    answer = qa.ask(make_gif(["red", "green", "blue"]), "Is it green?", options=["yes", "no"], top_k=2)

    assert answer.text in {"yes", "no"}
    assert answer.confidence + answer.alternatives[0].confidence == pytest.approx(1)
    assert answer.model == f"hf:{checkpoint}"


def test_pixels_are_required(answerer):
    with pytest.raises(
        ValueError, match=r"pixels is None; this answerer reads the frames' pixels. Give them"
    ):
        answerer.answer(KEYFRAMES, "What?")


def test_a_model_that_tiles_its_images_gets_one_tile_a_frame(tmp_path):
    """Idefics3, the architecture of SmolVLM: tiles made a 256M model slower than 1B ones (smollm#125)."""
    from gifqa.answering.transformers import TransformersAnswerer

    tokenizer = byte_tokenizer()
    tokenizer.add_tokens(
        ["<fake_token_around_image>", "<global-img>", "<end_of_utterance>"], special_tokens=True
    )
    text = {"model_type": "llama", "vocab_size": len(tokenizer), "hidden_size": 16, "intermediate_size": 16}
    config = transformers.Idefics3Config(
        vision_config={
            "hidden_size": 16,
            "intermediate_size": 16,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "image_size": 32,
            "patch_size": 8,
        },
        text_config=text | {"num_hidden_layers": 1, "num_attention_heads": 2, "eos_token_id": 1},
        image_token_id=2,
        scale_factor=2,
        pad_token_id=0,
    )
    transformers.Idefics3ForConditionalGeneration(config).save_pretrained(tmp_path)
    transformers.Idefics3Processor(
        image_processor=transformers.Idefics3ImageProcessor(
            size={"longest_edge": 64}, max_image_size={"longest_edge": 32}, do_image_splitting=True
        ),
        tokenizer=tokenizer,
        image_seq_len=4,
        chat_template=TEMPLATE,
    ).save_pretrained(tmp_path)

    answerer = TransformersAnswerer(tmp_path)
    inputs = answerer._inputs(question_messages(KEYFRAMES, "What is it?"), PIXELS, add_generation_prompt=True)
    assert int((inputs["input_ids"] == 2).sum()) == 2 * 4
    reply = answerer.answer(KEYFRAMES, "What is it?", pixels=PIXELS, options=["cat", "dog"])
    assert reply.text in {"cat", "dog"}


def load_error(folder, match):
    from gifqa.answering.transformers import TransformersAnswerer

    with pytest.raises(CheckpointError, match=match) as caught:
        TransformersAnswerer(folder)
    assert "\n" not in str(caught.value)


def copy_of(checkpoint, tmp_path, without=()):
    for path in checkpoint.iterdir():
        if path.name not in without:
            (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path


def test_an_unknown_folder_is_a_checkpoint_error(tmp_path):
    load_error(
        tmp_path / "none", r"hf:.*none cannot be loaded: .*Give the id or folder of an image-text-to-text"
    )


def test_a_folder_without_a_model_is_a_checkpoint_error(tmp_path):
    load_error(tmp_path, "cannot be loaded: .*Give the id or folder")


def test_pickled_weights_are_not_loaded(checkpoint, tmp_path):
    folder = copy_of(checkpoint, tmp_path, without=("model.safetensors",))
    torch.save({}, folder / "pytorch_model.bin")
    load_error(folder, "cannot be loaded: .*safetensors")


def test_missing_weights_are_an_error(checkpoint, tmp_path):
    """A checkpoint that loads in part answers at random without a word (TencentARC/ST-LLM#3)."""
    from safetensors.torch import load_file, save_file

    folder = copy_of(checkpoint, tmp_path)
    weights = load_file(folder / "model.safetensors")
    name = next(name for name in weights if "multi_modal_projector" in name)
    save_file({key: value for key, value in weights.items() if key != name}, folder / "model.safetensors")
    load_error(
        folder, "lacks 1 weights, .*multi_modal_projector.* first; all must be in the checkpoint. Give"
    )


def test_a_processor_without_a_chat_template_is_an_error(checkpoint, tmp_path):
    folder = copy_of(checkpoint, tmp_path, without=("chat_template.jinja", "chat_template.json"))
    load_error(folder, "has no chat template; questions are put in one. Give the id")


def test_a_missing_package_is_named(monkeypatch):
    from gifqa import MissingExtra
    from gifqa.answering.transformers import TransformersAnswerer

    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(MissingExtra, match=r'transformers cannot be imported .*pip install "gifqa\[hf\]"'):
        TransformersAnswerer("any")


def test_a_question_about_a_text_needs_no_pictures(answerer):
    text = "0.00 s: a red screen"
    reply = answerer.answer_from_text(text, "What colour?")
    chosen = answerer.answer_from_text(text, "What colour?", options=["red", "blue"])

    assert reply.text and 0 < reply.confidence < 1
    assert {chosen.text, chosen.alternatives[0].answer} == {"red", "blue"}
    assert reply == answerer.answer_from_text(text, "What colour?")
