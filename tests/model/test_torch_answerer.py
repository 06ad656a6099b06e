import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("peft")

from gifqa.answering.captions import CaptionsAnswerer  # noqa: E402
from gifqa.cli.options import make_qa  # noqa: E402
from gifqa.errors import CheckpointError, MissingExtra  # noqa: E402
from gifqa.limits import MediaLimits  # noqa: E402
from gifqa.model.checkpoint_saving import save_pretrained  # noqa: E402
from gifqa.model.torch_answerer import HeadsEncoder, TorchAnswerer, TowerEncoder, read_texts  # noqa: E402
from gifqa.pipeline import GifQA  # noqa: E402
from gifqa.prompt import text_prompt  # noqa: E402
from gifqa.retrieval.clip_cut import Keyframes  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing.*:FutureWarning")
QUESTION = "What colour is it ?"
PIXELS = np.random.default_rng(0).integers(0, 256, (2, 20, 30, 3), np.uint8)


def keyframes(count):
    return Keyframes(np.arange(count), np.arange(count) / 10, np.zeros(count, np.float32), None, count, 1.0)


@pytest.fixture
def answerer(make_seed):
    return TorchAnswerer(make_seed())


def test_options_are_weighed_by_the_likelihood_of_their_tokens_and_of_the_end(answerer, make_seed):
    options = ["red", "blue dog", "a blue"]
    reply = answerer.answer(keyframes(2), QUESTION, pixels=PIXELS, options=options)
    shares = {reply.text: reply.confidence} | {other.answer: other.confidence for other in reply.alternatives}
    model, tokenizer = answerer._model, answerer._checkpoint.tokenizer
    tokens, _ = answerer._look(PIXELS, QUESTION)
    expected = []
    for plain in ("red", "blue dog", "blue"):  # articles are left out, as in training
        batch = model.language_batch(tokenizer, [QUESTION], [plain])
        with torch.no_grad():
            logits, labels = model.answer_logits(tokens, batch)
        expected.append(logits.log_softmax(-1).gather(1, labels[:, None]).sum())

    assert [shares[option] for option in options] == pytest.approx(
        torch.stack(expected).softmax(0).tolist(), abs=1e-4
    )
    assert reply.confidence == max(shares.values())


def test_an_open_answer_is_the_greedy_one(answerer):
    reply = answerer.answer(keyframes(2), QUESTION, pixels=PIXELS)
    model, tokenizer = answerer._model, answerer._checkpoint.tokenizer
    tokens, _ = answerer._look(PIXELS, QUESTION)
    embeds = model.inputs_embeds(tokens, model.language_batch(tokenizer, [QUESTION], [""]))
    with torch.no_grad():
        first = model.language_model(inputs_embeds=embeds).logits[0, -1].argmax()

    assert reply.text.split()[0] == tokenizer.id_to_token(int(first))
    assert 0 < reply.confidence <= 1


def test_yes_or_no_is_a_choice(answerer):
    reply = answerer.answer(keyframes(2), "is the dog red ?", pixels=PIXELS)

    assert {reply.text, reply.alternatives[0].answer} == {"yes", "no"}
    assert reply.confidence + reply.alternatives[0].confidence == pytest.approx(1)


def test_a_question_about_a_text_is_answered_by_the_language_model_alone(answerer):
    model, tokenizer, text = answerer._model, answerer._checkpoint.tokenizer, "0.00 s: a red dog"
    reply = answerer.answer_from_text(text, QUESTION, options=["red", "blue dog"])
    prompt = tokenizer.encode(text_prompt(text, QUESTION)).ids
    scores = []
    for option in ("red", "blue dog"):
        answer = [*tokenizer.encode(option).ids, model.eos_token_id]
        with torch.no_grad():
            logits = model.language_model(input_ids=torch.tensor([prompt + answer])).logits[0]
        rows = logits[len(prompt) - 1 : -1].log_softmax(-1)
        scores.append(rows.gather(1, torch.tensor(answer)[:, None]).sum())
    shares = dict(zip(("red", "blue dog"), torch.stack(scores).softmax(0).tolist(), strict=True))

    assert reply.confidence == pytest.approx(shares[reply.text], abs=1e-4) == max(shares.values())
    assert 0 < answerer.answer_from_text(text, QUESTION).confidence <= 1
    assert answerer.answer_from_text(text, "is the dog red ?").text in {"yes", "no"}


def test_captions_of_the_keyframes_are_what_it_answers_from(answerer):
    reply = CaptionsAnswerer(answerer).answer(keyframes(2), QUESTION, pixels=PIXELS, options=["red", "blue"])

    assert reply.text in {"red", "blue"}
    assert reply.captions == tuple(
        answerer.describe(keyframes(1), pixels=frame[None]).text for frame in PIXELS
    )


def test_more_frames_than_it_reads_are_spread_with_a_warning(answerer):
    many = np.concatenate([PIXELS[:1], np.zeros_like(PIXELS), PIXELS[1:]])
    reply = answerer.answer(keyframes(4), "is it red ?", pixels=many)

    assert reply.confidence == pytest.approx(
        answerer.answer(keyframes(2), "is it red ?", pixels=PIXELS).confidence, abs=1e-5
    )
    assert reply.warnings == (
        "the model reads at most 2 frames: of the 4 keyframes 2, spread evenly, were read",
    )


@pytest.mark.parametrize("kind", ["seed", "lite"])
def test_keyframes_are_chosen_as_in_training(kind, make_seed, lite):
    checkpoint = make_seed("mlp") if kind == "seed" else lite
    encoder = TorchAnswerer(checkpoint).encoder
    frames, texts = encoder.encode_frames(PIXELS), encoder.encode_texts([QUESTION, "red"])

    assert isinstance(encoder, TowerEncoder if kind == "seed" else HeadsEncoder)
    assert frames.embeddings.shape[1] == texts.shape[1]
    for rows in (frames.embeddings, texts):
        np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, rtol=1e-5)


def test_a_tower_without_texts_leaves_keyframes_to_the_shipped_encoder(make_seed):
    assert TorchAnswerer(make_seed("mlp", tower="dinov2")).encoder is None


def test_the_text_tower_s_states_are_read_where_the_connector_wants_them(lite):
    answerer = TorchAnswerer(lite)

    assert answerer.describe(keyframes(2), pixels=PIXELS).text
    assert answerer.answer(keyframes(1), QUESTION, pixels=PIXELS[:1], options=["red", "blue"]).text in {
        "red",
        "blue",
    }


def test_a_checkpoint_without_the_text_tower_that_it_needs_says_so(make_seed):
    with pytest.raises(CheckpointError, match="gifqa-seed has no text tower"):
        read_texts(make_seed("mlp"), ["red"])


def test_it_answers_in_the_pipeline_and_by_its_folder_on_the_command_line(make_seed, make_gif, tmp_path):
    folder = tmp_path / "saved"
    save_pretrained(make_seed("instructblip"), folder)
    media = make_gif(["red", "green", "blue"])
    loaded = TorchAnswerer.from_pretrained(folder)
    answer = GifQA(answerer=loaded, encoder=loaded.encoder).ask(media, "is it red ?", top_k=2)
    named = make_qa(str(folder), MediaLimits(), no_cache=True).ask(media, "is it red ?")

    assert (answer.text, answer.model) == (named.text, "gifqa-seed 0.1")
    assert named.confidence == pytest.approx(answer.confidence, abs=1e-5)
    assert len(named.keyframes) == 2


def test_without_torch_the_extra_is_named(make_seed, tmp_path, monkeypatch):
    import sys

    save_pretrained(make_seed("mlp"), tmp_path / "saved")
    monkeypatch.delitem(sys.modules, "gifqa.model.torch_answerer")
    monkeypatch.setitem(sys.modules, "torch", None)

    with pytest.raises(MissingExtra, match=r'pip install "gifqa\[train\]"'):
        make_qa(str(tmp_path / "saved"), MediaLimits())
