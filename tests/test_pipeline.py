"""The whole line on stand-in models: which frames are chosen, what the answerer is given, what comes back."""

import dataclasses
import io
import json
import math
import threading
from pathlib import Path

import numpy as np
import pytest

from gifqa import ClipCutConfig, ConfigError, GifQA, GifQAError, MediaLimits, Turn
from gifqa.answering.base import Alternative, Answer, Reply
from gifqa.errors import CheckpointError, UnreadableMedia
from gifqa.pipeline import ENGLISH_ONLY, MAX_TURNS, STAGES, Item
from gifqa.retrieval.cache import FeatureCache
from gifqa.retrieval.config import CacheConfig

THREE = ["red", "green", "blue"]


@pytest.fixture
def qa(colour_embedder, fake_answerer):
    return GifQA(encoder=colour_embedder, answerer=fake_answerer)


def test_the_answer_comes_from_the_frame_that_the_question_is_about(qa, make_gif):
    answer = qa.ask(make_gif(THREE, 200), "Is anything green here?", top_k=1)

    assert answer.text == "green"
    assert answer.confidence == 0.75
    assert answer.keyframes.indices.tolist() == [1]
    assert answer.keyframes.pts_seconds.tolist() == pytest.approx([0.2])
    assert answer.model == "fake 1.0"
    assert answer.warnings == ()


def test_alternatives_leave_out_the_answer_and_stand_in_order(qa, make_gif):
    answer = qa.ask(make_gif(THREE), "Is it green?", options=["blue", "green", "red"], top_k=1)

    assert answer.text == "green"
    assert [other.answer for other in answer.alternatives] == ["blue", "red"]


def test_timings_name_every_stage_and_add_up(qa, make_gif):
    timings = qa.ask(make_gif(THREE), "Is it red?").timings

    assert set(timings) == {*STAGES, "total"}
    assert all(seconds >= 0 for seconds in timings.values())
    assert sum(timings[stage] for stage in STAGES) <= timings["total"]
    assert timings["encode"] > 0 and timings["decode"] > 0


def test_a_second_question_embeds_no_frame(qa, make_gif, colour_embedder):
    path = make_gif(THREE)
    qa.ask(path, "Is it red?")
    encoded = colour_embedder.num_frames_encoded
    second = qa.ask(path.read_bytes(), "Is it blue?", top_k=1)

    assert encoded == 3
    assert colour_embedder.num_frames_encoded == encoded
    assert second.text == "blue"
    assert second.timings["decode"] == second.timings["encode"] == 0.0


def test_more_keyframes_than_were_embedded_are_embedded_when_they_are_asked_for(qa, make_gif):
    path = make_gif([(250, 8 * i, 0) for i in range(12)])
    assert len(qa.ask(path, "Is it red?", top_k=2).keyframes) == 2
    more = qa.ask(path, "Is it red?", top_k=8)

    assert len(more.keyframes) == 8 and more.warnings == ()
    assert qa.ask(path, "Is it red?").timings["encode"] == 0.0  # what was embedded first is still there


def test_other_encoding_settings_do_not_reuse_what_was_cached(colour_embedder, fake_answerer, make_gif):
    path = make_gif(["red", "green", "blue", "yellow"] * 8)
    for config in (ClipCutConfig(), ClipCutConfig(group_size=1)):
        GifQA(encoder=colour_embedder, answerer=fake_answerer, clip_cut=config).ask(path, "Is it red?")

    assert colour_embedder.num_frames_encoded == 64


def test_the_cache_changes_no_answer(colour_embedder, fake_answerer, make_gif, tmp_path):
    path = make_gif(["red", "green", "blue", "yellow", "cyan"], [100, 200, 50, 400, 100])
    config = CacheConfig(directory=tmp_path / "cache")
    answers = [
        GifQA(encoder=colour_embedder, answerer=fake_answerer, cache=FeatureCache(config)).ask(path, "blue?")
        for _ in range(2)
    ]

    fresh, cached = ({**answer.to_dict(), "timings": None} for answer in answers)
    assert fresh == cached
    assert answers[1].timings["encode"] == 0.0


def test_pixels_are_decoded_only_for_answerers_that_need_them(qa, make_gif, fake_answerer):
    path = make_gif(THREE)
    qa.ask(path, "Is it red?")
    fake_answerer.needs_pixels = True
    qa.ask(path, "Is it blue?", top_k=2)

    assert fake_answerer.calls[0]["pixels"] is None
    pixels = fake_answerer.calls[1]["pixels"]
    assert pixels.shape == (2, 24, 32, 3) and pixels.dtype == np.uint8


def test_pixels_are_those_of_the_keyframes_and_red_is_red(qa, make_gif):
    path = make_gif(THREE)
    keyframes = qa.keyframes(path, "red and blue", top_k=2)

    assert keyframes.indices.tolist() == [0, 2]
    assert qa.pixels(path, keyframes)[:, 0, 0].tolist() == [[255, 0, 0], [0, 0, 255]]


def test_options_reach_the_answerer_checked(qa, make_gif, fake_answerer):
    qa.ask(make_gif(THREE), "  Is \t it  red? ", options=(" red", "green "))

    assert fake_answerer.calls[0]["options"] == ("red", "green")
    assert fake_answerer.calls[0]["question"] == "Is it red?"


def test_a_description_helps_to_find_the_keyframe(qa, make_gif):
    path = make_gif(THREE)

    assert qa.ask(path, "What is it?", top_k=1, description="a blue screen").text == "blue"
    assert qa.ask(path, "What is it?", top_k=1, description="a green screen").text == "green"


def test_the_number_of_keyframes_comes_from_the_settings_unless_given(
    colour_embedder, fake_answerer, make_gif
):
    config = ClipCutConfig(top_k=2)
    qa = GifQA(encoder=colour_embedder, answerer=fake_answerer, clip_cut=config)
    path = make_gif(["red", "green", "blue", "yellow"])

    assert len(qa.ask(path, "Is it red?").keyframes.indices) == 2
    assert len(qa.ask(path, "Is it red?", top_k=3).keyframes.indices) == 3


def test_more_keyframes_than_frames_gives_all_and_says_so(qa, make_gif):
    answer = qa.ask(make_gif(["red", "green"]), "Is it red?", top_k=9)

    assert answer.keyframes.indices.tolist() == [0, 1]
    assert any("only 2 distinct frames" in warning for warning in answer.warnings)


def test_a_gif_of_one_frame_is_answered_without_a_warning(qa, make_gif):
    answer = qa.ask(make_gif(["blue"]), "What colour is it?")

    assert (answer.text, answer.warnings) == ("blue", ())


def test_bytes_streams_arrays_and_images_give_the_same_answer(qa, make_gif):
    path = make_gif(["green"] * 2)
    pixels = np.zeros((2, 24, 32, 3), np.uint8)
    pixels[..., 1] = 255

    for media in (path, str(path), path.read_bytes(), io.BytesIO(path.read_bytes()), pixels):
        assert qa.ask(media, "What colour is it?").text == "green"


def test_control_characters_of_a_question_are_taken_out_with_a_warning(qa, make_gif, fake_answerer):
    answer = qa.ask(make_gif(["red"]), "Is it\x07 red\x1b?")

    assert fake_answerer.calls[0]["question"] == "Is it red?"
    assert answer.warnings == ("2 control characters taken out of the question",)


def test_warnings_of_media_question_and_answerer_are_all_kept(colour_embedder, fake_answerer, make_gif):
    reply = Reply("red", None, warnings=("the model is unsure",))
    fake_answerer.answer = lambda *_, **__: reply
    data = make_gif(["red", "green", "blue"]).read_bytes()

    answer = GifQA(encoder=colour_embedder, answerer=fake_answerer).ask(data[:-20], "red\x00?")

    assert any("taken out" in warning for warning in answer.warnings)
    assert answer.warnings[-1] == "the model is unsure"
    assert len(answer.warnings) > 2


@pytest.mark.parametrize("question", ["", " \n\t", "\x00\x1f", "\u200b"])
def test_an_empty_question_is_refused(qa, make_gif, question):
    with pytest.raises(ConfigError, match=r"question is empty; it needs at least one word. Ask"):
        qa.ask(make_gif(["red"]), question)


def test_a_question_of_ten_thousand_characters_is_refused(qa, make_gif):
    with pytest.raises(ConfigError, match=r"has 10,000 characters; at most 2,000 are allowed. Shorten it"):
        qa.ask(make_gif(["red"]), "w" * 10_000)


@pytest.mark.parametrize("top_k", [0, -1, 65])
def test_top_k_out_of_bounds_is_refused_before_the_media_are_read(qa, top_k):
    for call in (qa.ask, qa.keyframes):
        with pytest.raises(ConfigError, match=f"--top-k is {top_k}; 1 to 64"):
            call("no such file", "Is it red?", top_k=top_k)
    with pytest.raises(ConfigError, match=f"--top-k is {top_k}; 1 to 64"):
        qa.describe("no such file", top_k=top_k)


def test_missing_media_is_a_media_error(qa, tmp_path):
    with pytest.raises(UnreadableMedia, match="does not exist"):
        qa.ask(tmp_path / "none.gif", "Is it red?")


def test_limits_reach_the_decoder(colour_embedder, fake_answerer, make_gif):
    qa = GifQA(encoder=colour_embedder, answerer=fake_answerer, limits=MediaLimits(max_frames_scanned=2))
    with pytest.raises(GifQAError, match="--max-frames-scanned"):
        qa.ask(make_gif(THREE), "Is it red?")


def test_ask_many_gives_each_answer_or_error_in_its_place(qa, make_gif, tmp_path):
    path = make_gif(THREE)
    items = [
        (path, "red?"),
        Item(tmp_path / "none.gif", "red?"),
        (path, ""),
        (path, "blue?", ["blue", "red"]),
        (path, "what?", None, "all green"),
    ]
    outcomes = list(qa.ask_many(items, top_k=1))

    assert [type(outcome) for outcome in outcomes] == [Answer, UnreadableMedia, ConfigError, Answer, Answer]
    assert [outcomes[i].text for i in (0, 3, 4)] == ["red", "blue", "green"]


def test_ask_many_reads_its_items_as_the_answers_are_read(qa, make_gif):
    path = make_gif(THREE)
    asked = []

    def items():
        for colour in THREE:
            asked.append(colour)
            yield path, f"{colour}?"

    answers = qa.ask_many(items(), top_k=1)
    assert (next(answers).text, asked) == ("red", ["red"])


def test_a_chat_keeps_the_gif_and_gives_earlier_turns(qa, make_gif, fake_answerer):
    path = make_gif(THREE)
    chat = qa.chat(path)
    path.unlink()
    chat.ask("Is it red?", top_k=1)
    with pytest.raises(ConfigError):
        chat.ask("")
    chat.ask("And is it  blue?", top_k=1)

    assert fake_answerer.calls[1]["history"] == (Turn("Is it red?", "red"),)
    assert chat.history == [Turn("Is it red?", "red"), Turn("And is it blue?", "blue")]


def test_a_long_chat_gives_only_its_last_turns(qa, make_gif, fake_answerer):
    chat = qa.chat(make_gif(["red"]))
    for number in range(MAX_TURNS + 3):
        chat.ask(f"Question {number}?")

    given = fake_answerer.calls[-1]["history"]
    assert [turn.question for turn in given] == [f"Question {n}?" for n in range(2, MAX_TURNS + 2)]


def test_describe_looks_at_the_whole_gif(qa, make_gif, fake_answerer):
    answer = qa.describe(make_gif(["red"] * 8 + ["blue"] * 8), top_k=2)

    assert answer.text.endswith("screen") and answer.confidence is None
    assert answer.keyframes.pts_seconds[0] < 0.8 <= answer.keyframes.pts_seconds[1]
    assert fake_answerer.calls == [{"describe": True, "pixels": None}]


def test_keyframes_need_no_answerer(colour_embedder, make_gif):
    class Unloadable:
        @property
        def needs_pixels(self):
            raise CheckpointError("never asked for")

    qa = GifQA(encoder=colour_embedder, answerer=Unloadable())
    keyframes = qa.keyframes(make_gif(THREE), "blue\x07", top_k=1)

    assert keyframes.indices.tolist() == [2]
    assert keyframes.warnings == ("1 control character taken out of the question",)


def test_one_object_serves_many_threads(qa, make_gif):
    paths = {colour: make_gif([colour] * 3, name=f"{colour}.gif") for colour in THREE}
    found = []

    def ask(colour):
        found.extend((colour, qa.ask(paths[colour], "What colour?").text) for _ in range(5))

    threads = [threading.Thread(target=ask, args=(colour,)) for colour in THREE]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(found) == 15 and all(colour == text for colour, text in found)


def test_the_json_of_an_answer_has_the_promised_fields(qa, make_gif):
    answer = qa.ask(make_gif(THREE, 200), "Is it blue?", options=["red", "blue"], top_k=1)
    value = json.loads(json.dumps(answer.to_dict(), allow_nan=False))

    assert list(value) == [
        "answer",
        "confidence",
        "alternatives",
        "keyframes",
        "model",
        "timings",
        "warnings",
    ]
    assert value["answer"] == "blue"
    assert value["alternatives"] == [{"answer": "red", "confidence": 0.25}]
    score = float(answer.keyframes.scores[0])
    assert value["keyframes"] == [{"index": 2, "pts_seconds": 0.4, "score": pytest.approx(score, abs=1e-4)}]


def test_numbers_that_json_lacks_become_null(qa, make_gif):
    answer = qa.ask(make_gif(THREE), "Is it blue?", top_k=1)
    odd = dataclasses.replace(
        answer,
        confidence=math.nan,
        alternatives=(Alternative("red", math.inf),),
        keyframes=dataclasses.replace(answer.keyframes, scores=np.array([np.nan], np.float32)),
    )
    value = json.loads(json.dumps(odd.to_dict(), allow_nan=False))

    assert value["confidence"] is value["alternatives"][0]["confidence"] is None
    assert value["keyframes"][0]["score"] is None


def test_making_one_loads_no_model_and_writes_nothing(tmp_path: Path, private_cache_directory):
    GifQA(tmp_path)

    assert list(private_cache_directory.iterdir()) == []


@pytest.fixture
def bundled(monkeypatch, colour_embedder, fake_answerer):
    """A `GifQA` whose bundle are the stand-ins."""
    monkeypatch.setattr(
        "gifqa.answering.models.Models._load_bundle", lambda self: (colour_embedder, fake_answerer)
    )
    return GifQA()


def test_another_language_than_english_is_warned_of_where_the_bundle_takes_part(bundled, qa, make_gif):
    path = make_gif(["red"])
    question = "猫は何をしていますか"

    assert bundled.ask(path, question).warnings == (ENGLISH_ONLY,)
    assert bundled.keyframes(path, question).warnings == (ENGLISH_ONLY,)
    assert bundled.ask(path, "What is the cat doing?").warnings == ()
    assert qa.ask(path, question).warnings == ()


def test_load_loads_both_halves_before_the_first_question(bundled, make_gif):
    bundled.load()

    assert bundled.ask(make_gif(["red"]), "What colour is it?").text == "red"


def test_a_model_that_does_not_load_is_an_error_of_load(monkeypatch):
    def load(self):
        raise CheckpointError("the bundle is damaged; install it again")

    monkeypatch.setattr("gifqa.answering.models.Models._load_bundle", load)
    with pytest.raises(CheckpointError, match="the bundle is damaged"):
        GifQA().load()
