"""How the shipped model's opinions become an answer, in a world of six words and with known opinions."""

from dataclasses import dataclass, field, replace
from types import SimpleNamespace

import numpy as np
import pytest

from gifqa.answering.bundle import Bundle
from gifqa.answering.decoder import Continuation
from gifqa.answering.lite import LiteAnswerer, LiteEncoder, LiteRuntime, Opinions, load_lite
from gifqa.errors import CheckpointError, ConfigError
from gifqa.prompt import DESCRIBE_QUESTION
from gifqa.retrieval.clip_cut import Keyframes

WORDS = ("red", "blue", "dog", "cat")
ANSWERS = ("yes", "no", "red", "blue", "dog", "cat")
TOKENS = ("<eos>", "yes", "no", "red", "blue", "dog", "cat", "a")


def words_of(text):
    """A unit vector (4,) with the words of `WORDS` that are in the text."""
    counts = np.array([word in text.lower().split() for word in WORDS], np.float32)
    return counts / max(1.0, float(np.linalg.norm(counts)))


class FakeTokenizer:
    """One token a word; unknown words have none."""

    def encode(self, text):
        return SimpleNamespace(ids=[TOKENS.index(word) for word in text.split() if word in TOKENS])

    def encode_batch(self, texts):
        return [self.encode(text) for text in texts]

    def decode(self, tokens):
        return " " + " ".join(TOKENS[token] for token in tokens)


@dataclass
class FakeDecoder:
    """Finds every token as likely as `liked` says, else e^-5, and writes what it was given to write."""

    liked: dict[str, float] = field(default_factory=dict)
    written: tuple[tuple[str, float], ...] = (("red", -1.0),)
    prompts: list[np.ndarray] = field(default_factory=list)

    def embed(self, tokens):
        return np.array([[token, 0.0] for token in tokens], np.float32).reshape(-1, 2)

    def read(self, embeds):
        self.prompts.append(embeds)
        return "prefix"

    def log_likelihoods(self, prefix, answers):
        assert prefix == "prefix"
        return np.array(
            [sum(self.liked.get(TOKENS[token], -5.0) for token in answer) for answer in answers], np.float32
        )

    def search(self, prefix, num_beams, max_new_tokens):
        assert prefix == "prefix"
        found = [(FakeTokenizer().encode(text).ids, score) for text, score in self.written]
        return [Continuation(tuple(ids), score * (len(ids) + 1)) for ids, score in found]


@dataclass
class FakeRuntime:
    """A bundle whose answer head likes what the first cell of the grid says; texts are their words."""

    bundle: Bundle
    decoder: FakeDecoder = field(default_factory=FakeDecoder)
    tokenizer: FakeTokenizer = field(default_factory=FakeTokenizer)
    texts: list[str] = field(default_factory=list)

    def read_frames(self, grid, question):
        liked = int(grid[0, 0, 0])
        logits = 4.0 * np.eye(len(ANSWERS), dtype=np.float32)[liked]
        return np.array([[7.0, 7.0], [8.0, 8.0]], np.float32), logits, 4 * words_of(ANSWERS[liked])

    def read_texts(self, texts):
        self.texts += texts
        vectors = np.stack([words_of(text) for text in texts])
        return vectors[:, None], np.ones((len(texts), 1), bool), vectors, vectors

    def see(self, pixels):
        return np.zeros((len(pixels), 1, 1), np.float16), np.ones((len(pixels), 4), np.float32) / 2


@pytest.fixture
def make_runtime(write_bundle):
    """`make_runtime(kind={"slope": 2}, liked=, written=)`: changed calibrations, what the decoder thinks."""

    def make(liked=None, written=(("red", -1.0),), **calibration):
        runtime = FakeRuntime(Bundle(write_bundle()), FakeDecoder(liked or {}, written))
        config = runtime.bundle.config
        changed = {kind: one.model_copy(update=calibration) for kind, one in config.calibration.items()}
        runtime.bundle.config = config.model_copy(update={"calibration": changed})
        return runtime

    return make


def keyframes_of(liked, *, count=2, looks="red", grid=True, embeddings=True):
    """Frames whose grid makes the answer head like an answer; to the dual encoder they look like a word."""
    cells = np.full((count, 1, 1), ANSWERS.index(liked), np.float16)
    return Keyframes(
        np.arange(count), np.arange(count) / 10, np.zeros(count, np.float32), cells if grid else None,
        count, 1.0, embeddings=np.tile(words_of(looks), (count, 1)) if embeddings else None,
    )  # fmt: skip


def weighed(runtime, liked, question, options=None):
    keyframes = keyframes_of(liked)
    return LiteAnswerer(runtime).weigh(keyframes.grid, keyframes.embeddings, question, options)


@pytest.mark.parametrize("liked", ANSWERS)
def test_a_question_for_yes_or_no_gets_one_of_them(make_runtime, liked):
    reply = LiteAnswerer(make_runtime()).answer(keyframes_of(liked), "Is the dog red?")

    assert {reply.text, *(other.answer for other in reply.alternatives)} == {"yes", "no"}


def test_yes_and_no_are_what_the_answer_head_says(make_runtime):
    answerer = LiteAnswerer(make_runtime(language_weight=0.0))

    assert answerer.answer(keyframes_of("yes"), "Is the dog red?").text == "yes"
    assert answerer.answer(keyframes_of("no"), "Is the dog red?").text == "no"


def test_a_head_without_yes_and_no_scores_them_by_their_sentences(write_bundle):
    runtime = FakeRuntime(Bundle(write_bundle(answers=["red", "blue", "dog", "cat"])))
    opinions = weighed(runtime, "red", "Is it red?")

    assert opinions.candidates == ("yes", "no")
    assert np.allclose(opinions.head, np.log(0.5))


def test_the_offset_of_yes_is_for_yes_alone(make_runtime):
    opinions = weighed(make_runtime(), "no", "Is it a cat?")
    neutral = make_runtime().bundle.config.calibration["yes/no"]
    pushed = neutral.model_copy(update={"yes_offset": 2.0})

    before, after = (np.log(opinions.shares(one)) for one in (neutral, pushed))
    assert (after - before)[0] - (after - before)[1] == pytest.approx(2.0, abs=1e-4)


@pytest.mark.parametrize(
    ("question", "kind", "answer"),
    [("Is the dog red?", "yes/no", "yes"), ("Is this a cat?", "is this", "no")],
)
def test_a_question_that_points_has_its_own_calibration(make_runtime, question, kind, answer):
    runtime = make_runtime(head_weight=0.0, language_weight=0.0, fit_weight=0.0, yes_offset=2.0)
    calibration = runtime.bundle.config.calibration
    calibration["is this"] = calibration["is this"].model_copy(update={"yes_offset": -2.0})

    assert weighed(runtime, "red", question).kind == kind
    assert LiteAnswerer(runtime).answer(keyframes_of("red"), question).text == answer


@pytest.mark.parametrize("options", [("A dog", "the cat"), ("Red!", "blue", "green"), ("2", "two dogs")])
def test_options_are_answered_as_the_user_wrote_them(make_runtime, options):
    reply = LiteAnswerer(make_runtime()).answer(keyframes_of("cat"), "What is it?", options=options)

    assert {reply.text, *(other.answer for other in reply.alternatives)} == set(options)


@pytest.mark.parametrize("options", [("yes", "no"), ("No.", "Yes!")])
def test_a_choice_of_yes_and_no_is_a_question_for_yes_or_no(make_runtime, options):
    """It was weighed as other choices are, and `--options yes,no` gave other answers than no options."""
    runtime = make_runtime()
    plain = weighed(runtime, "no", "Is the dog red?")
    chosen = weighed(runtime, "no", "Is the dog red?", options)
    calibration = runtime.bundle.config.calibration["yes/no"].model_copy(update={"yes_offset": 2.0})
    shares = dict(zip(options, chosen.shares(calibration), strict=True))

    assert (chosen.kind, chosen.candidates) == ("yes/no", options)
    assert [shares[word] for word in sorted(options, reverse=True)] == pytest.approx(
        list(plain.shares(calibration))
    )
    assert weighed(runtime, "no", "Is it?", ["yes", "no", "maybe"]).kind == "options"


def test_options_are_weighed_in_the_form_of_answers(make_runtime):
    runtime = make_runtime(liked={"dog": -0.1})
    opinions = weighed(runtime, "dog", "What is it?", ["The Cat.", "A DOG!"])

    assert opinions.kind == "options"
    assert opinions.candidates == ("The Cat.", "A DOG!")
    assert opinions.head.argmax() == opinions.language.argmax() == 1
    assert opinions.language.tolist() == pytest.approx([-5.0, -0.1])
    assert {"cat", "dog"} <= set(runtime.texts)


def test_options_without_a_letter_stay_what_they_are(make_runtime):
    opinions = weighed(make_runtime(), "dog", "Which sign is it?", ["?", "!"])

    assert opinions.candidates == ("?", "!")
    assert np.isfinite(opinions.head).all()


def test_an_open_question_weighs_known_answers_and_the_decoder_s_own(make_runtime):
    opinions = weighed(make_runtime(written=(("a red dog", -1.0), ("blue", -3.0))), "dog", "What?")

    assert opinions.kind == "open"
    assert opinions.candidates[0] == "dog"
    assert len(set(opinions.candidates)) == len(opinions.candidates)
    assert set(opinions.candidates) == {*ANSWERS, "red dog"}
    assert np.exp(opinions.head)[: len(ANSWERS)].sum() == pytest.approx(1, abs=1e-5)


def test_an_answer_the_head_does_not_know_is_scored_by_its_sentence(make_runtime):
    """`answer_weight` of the tiny bundle is 1, so that score is 4 cos(sentence, what the head likes)."""
    opinions = weighed(make_runtime(written=(("red dog", -2.0),)), "dog", "What?")
    scores = dict(zip(opinions.candidates, opinions.head, strict=True))

    assert scores["dog"] - scores["red dog"] == pytest.approx(4 - 4 / np.sqrt(2), abs=1e-4)


def test_the_decoder_can_outvote_the_head(make_runtime):
    runtime = make_runtime(liked={"cat": -0.01}, language_weight=2.0)

    assert LiteAnswerer(runtime).answer(keyframes_of("dog"), "What is it?").text == "cat"


def test_frames_are_compared_with_the_statement(make_runtime):
    runtime = make_runtime(fit_weight=9.0, language_weight=0.0)
    answerer = LiteAnswerer(runtime)

    assert answerer.answer(keyframes_of("dog", looks="cat"), "What is on it?").text == "cat"
    assert "cat on it" in runtime.texts
    assert answerer.answer(keyframes_of("dog", looks="cat", embeddings=False), "What is on it?").text == "dog"


def test_a_fit_is_in_standard_deviations_over_the_references(make_runtime):
    """Each word's vector meets one of the four references: mean 1/4, deviation sqrt(3)/4."""
    opinions = weighed(make_runtime(), "dog", "What?")
    fits = dict(zip(opinions.candidates, opinions.fit, strict=True))

    assert fits["red"] == pytest.approx(0.75 / (np.sqrt(3) / 4), abs=1e-4)
    assert fits["blue"] == pytest.approx(-0.25 / (np.sqrt(3) / 4), abs=1e-4)
    assert fits["no"] == 0


def test_the_confidence_of_a_sole_known_share_is_calibrated(make_runtime):
    neutral = LiteAnswerer(make_runtime()).answer(keyframes_of("yes"), "Is it?")
    sceptical = LiteAnswerer(make_runtime(offset=-3.0)).answer(keyframes_of("yes"), "Is it?")

    assert neutral.confidence == pytest.approx(np.exp(4) / (np.exp(4) + 1), abs=1e-4)
    assert sceptical.confidence < neutral.confidence and sceptical.text == neutral.text


@pytest.mark.parametrize("slope", [0.0, 0.4, 1.0, 30.0])
@pytest.mark.parametrize("offset", [-8.0, 0.0, 8.0])
@pytest.mark.parametrize(
    ("question", "options"), [("What?", None), ("Is it?", None), ("What?", ("dog", "cat", "red")), ]
)  # fmt: skip
def test_confidences_are_sorted_within_0_and_1_and_none_is_above_the_answer_s(
    make_runtime, slope, offset, question, options
):
    runtime = make_runtime(slope=slope, offset=offset, head_weight=0.3, written=(("red dog", -1.0),))
    reply = LiteAnswerer(runtime).answer(keyframes_of("dog"), question, options=options)
    confidences = [reply.confidence, *(other.confidence for other in reply.alternatives)]

    assert 1 <= len(reply.alternatives) <= 4
    assert reply.text not in {other.answer for other in reply.alternatives}
    assert all(0 <= confidence <= 1 for confidence in confidences)
    assert confidences == sorted(confidences, reverse=True)
    assert sum(confidences) <= 1 + 1e-6


def test_certainty_is_finite(make_runtime):
    reply = LiteAnswerer(make_runtime(head_weight=500.0)).answer(keyframes_of("dog"), "What?")

    assert reply.confidence == pytest.approx(1, abs=1e-4)
    assert all(np.isfinite(other.confidence) for other in reply.alternatives)


def test_a_prompt_is_the_visual_tokens_the_question_and_the_first_token_again(make_runtime):
    runtime = make_runtime()
    LiteAnswerer(runtime).answer(keyframes_of("dog"), "red dog ?")
    (prompt,) = runtime.decoder.prompts

    assert prompt[:2].tolist() == [[7, 7], [8, 8]]
    assert prompt[2:-1, 0].tolist() == [TOKENS.index("red"), TOKENS.index("dog")]
    assert prompt[-1].tolist() == [7, 7]


def test_a_caption_is_chosen_by_how_it_fits(make_runtime):
    answerer = LiteAnswerer(make_runtime(written=(("a red dog", -1.0), ("a blue cat", -1.1))))

    assert answerer.describe(keyframes_of("dog", looks="red")).text == "a red dog"
    assert answerer.describe(keyframes_of("dog", looks="blue")).text == "a blue cat"
    assert answerer.describe(keyframes_of("dog", looks="blue", embeddings=False)).text == "a red dog"
    assert answerer.describe(keyframes_of("dog")).confidence is None


def test_a_caption_that_is_much_less_likely_is_not_chosen(make_runtime):
    answerer = LiteAnswerer(make_runtime(written=(("a red dog", -1.0), ("a blue cat", -5.0))))

    assert answerer.describe(keyframes_of("dog", looks="blue")).text == "a red dog"


def test_more_frames_than_the_model_reads_are_told(make_runtime):
    answerer = LiteAnswerer(make_runtime())
    told = ("the model reads at most 3 frames: of the 5 keyframes 3, spread evenly, were read",)

    assert answerer.answer(keyframes_of("dog", count=3), "What?").warnings == ()
    assert answerer.answer(keyframes_of("dog", count=5), "What?").warnings == told
    assert answerer.describe(keyframes_of("dog", count=5)).warnings == told


def test_frames_of_another_encoder_are_refused(make_runtime):
    answerer = LiteAnswerer(make_runtime())
    blind = keyframes_of("dog", grid=False)

    for ask in (lambda: answerer.answer(blind, "What?"), lambda: answerer.describe(blind)):
        with pytest.raises(
            ConfigError, match=r"no features of tiny 1.0; .*own encoder. Use the encoder of the same bundle"
        ):
            ask()


def test_the_answerer_is_named_by_its_version_and_the_encoder_by_its_files(make_runtime):
    runtime = make_runtime()

    assert LiteAnswerer(runtime).name == "tiny 1.0"
    assert LiteAnswerer(runtime).identity == f"tiny-1.0-{runtime.bundle.digest[:12]}"
    assert LiteEncoder(runtime).name == f"tiny-{runtime.bundle.encoder_digest[:12]}"


def test_the_encoder_gives_grids_and_embeddings(make_runtime):
    encoder = LiteEncoder(make_runtime())
    features = encoder.encode_frames(np.zeros((3, 5, 6, 3), np.uint8))

    assert features.grid.shape == (3, 1, 1) and features.embeddings.shape == (3, 4)
    assert np.allclose(encoder.encode_texts(["a red dog", "cat"])[1], words_of("cat"))


def test_shares_add_up_to_one(make_runtime):
    opinions = weighed(make_runtime(), "dog", "What?")
    one = make_runtime().bundle.config.calibration["open"].model_copy(update={"fit_weight": 0.7})

    assert opinions.shares(one).sum() == pytest.approx(1, abs=1e-5)
    assert isinstance(opinions, Opinions) and replace(opinions, kind="options").shares(one).shape == (6,)


def test_describe_asks_the_question_that_stands_for_it(make_runtime, monkeypatch):
    runtime = make_runtime()
    asked = []
    monkeypatch.setattr(
        runtime,
        "read_frames",
        lambda grid, question: (asked.append(question), FakeRuntime.read_frames(runtime, grid, question))[1],
    )
    LiteAnswerer(runtime).describe(keyframes_of("dog"))

    assert asked == [DESCRIBE_QUESTION]


def test_a_bundle_is_loaded_as_encoder_and_answerer(write_bundle):
    encoder, answerer = load_lite(write_bundle())

    assert isinstance(encoder, LiteEncoder) and isinstance(answerer, LiteAnswerer)
    assert encoder._runtime is answerer._runtime and isinstance(encoder._runtime, LiteRuntime)


def test_a_folder_that_is_no_bundle_is_not_loaded(tmp_path):
    with pytest.raises(CheckpointError, match=r"is not a gifqa bundle"):
        load_lite(tmp_path)
