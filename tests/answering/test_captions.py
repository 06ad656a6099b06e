"""Answers from captions of the keyframes: the stand-in model names colours, and reads the first one named."""

import json

import numpy as np
import pytest

from gifqa.answering.base import Turn
from gifqa.answering.captions import CaptionsAnswerer, single_frame, told
from gifqa.answering.models import Models
from gifqa.errors import ConfigError
from gifqa.pipeline import GifQA
from gifqa.retrieval.clip_cut import Keyframes

COLOURS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255)}


def keyframes_of(*colours, num_frames=9):
    grid = np.array([[COLOURS[colour]] for colour in colours], np.float16) / 255
    count = len(colours)
    return Keyframes(
        np.arange(count) * 2, np.arange(count) / 4, np.zeros(count, np.float32), grid, num_frames, 1.5,
        embeddings=np.eye(count, 3, dtype=np.float32),
    )  # fmt: skip


def test_each_keyframe_is_described_by_itself_and_the_question_put_to_the_text(fake_answerer):
    answerer = CaptionsAnswerer(fake_answerer)
    turns = (Turn("What?", "a screen"),)
    reply = answerer.answer(
        keyframes_of("blue", "red"), "What colour?", options=["red", "blue"], history=turns
    )

    assert reply.captions == ("a blue screen", "a red screen")
    assert (reply.text, reply.confidence) == ("blue", 0.5)
    asked = fake_answerer.calls[-1]
    assert asked["text"] == (
        "Frames of a GIF, 1.50 s long, show in this order:\n0.00 s: a blue screen\n0.25 s: a red screen"
    )
    assert (asked["question"], asked["options"]) == ("What colour?", ["red", "blue"])
    assert asked["history"] == turns
    assert len(fake_answerer.calls) == 3


def test_pixels_are_cut_up_with_the_keyframes(fake_answerer):
    pixels = np.array([[[COLOURS["green"]]], [[COLOURS["red"]]]], np.uint8)
    reply = CaptionsAnswerer(fake_answerer).answer(keyframes_of("blue", "blue"), "What?", pixels=pixels)

    assert reply.captions == ("a green screen", "a red screen")
    assert [call["pixels"].shape for call in fake_answerer.calls[:2]] == [(1, 1, 1, 3)] * 2


def test_a_description_says_each_caption_once(fake_answerer):
    reply = CaptionsAnswerer(fake_answerer).describe(keyframes_of("red", "red", "blue"))

    assert reply.text == "a red screen; a blue screen"
    assert reply.captions == ("a red screen", "a red screen", "a blue screen")


def test_a_keyframe_by_itself_is_a_still_image():
    keyframes = keyframes_of("red", "blue", "green")
    frame = single_frame(keyframes, 1)

    assert (len(frame), frame.num_frames, frame.indices.tolist()) == (1, 1, [2])
    assert np.array_equal(frame.grid, keyframes.grid[1:2])
    assert np.array_equal(frame.embeddings, keyframes.embeddings[1:2])
    assert told(frame, ["a cat"]) == "An image shows: a cat"


def test_warnings_of_the_captions_come_with_the_answer_and_once(fake_answerer, monkeypatch):
    from gifqa.answering.base import Reply

    reply = Reply("a red screen", None, warnings=("blurred",))
    monkeypatch.setattr(fake_answerer, "describe", lambda keyframes, pixels=None: reply)

    assert CaptionsAnswerer(fake_answerer).answer(keyframes_of("red", "red"), "What?").warnings == (
        "blurred",
    )


def test_the_json_of_an_answer_has_the_captions_it_rests_on(colour_embedder, fake_answerer, make_gif):
    gif = make_gif(["red", "green"])
    plain = GifQA(encoder=colour_embedder, answerer=fake_answerer).ask(gif, "What colour?", top_k=2)
    answer = GifQA(encoder=colour_embedder, answerer=fake_answerer, approach="captions").ask(
        gif, "What colour?", top_k=2
    )

    assert "captions" not in plain.to_dict() and plain.captions == ()
    assert json.loads(json.dumps(answer.to_dict()))["captions"] == ["a red screen", "a green screen"]
    assert (answer.text, answer.model) == ("red", "fake 1.0, from captions")


def test_an_approach_that_there_is_not_is_refused():
    with pytest.raises(
        ConfigError, match=r"the approach is 'caption'; it can be frames or captions\. Choose"
    ):
        GifQA(approach="caption")


def test_a_model_that_only_reads_frames_is_refused(colour_embedder):
    class OnlyFrames:
        name = "only-frames 1"
        needs_pixels = False

        def answer(self, *_, **__):
            """Not called."""

        describe = answer

    models = Models(encoder=colour_embedder, answerer=OnlyFrames(), approach="captions")
    with pytest.raises(ConfigError, match=r"captions, but only-frames 1 cannot answer from text; .* Leave"):
        _ = models.answerer
