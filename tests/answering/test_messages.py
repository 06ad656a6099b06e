"""The dialogue shown to chat models."""

import numpy as np
import pytest

from gifqa.answering.base import Turn
from gifqa.answering.messages import clean_reply, question_messages
from gifqa.retrieval.clip_cut import Keyframes


def keyframes(*pts_seconds, num_frames=9):
    count = len(pts_seconds)
    return Keyframes(
        np.arange(count), np.array(pts_seconds), np.zeros(count, np.float32), None, num_frames, 1.5
    )


def test_frames_come_in_order_each_after_its_time():
    (message,) = question_messages(keyframes(0.0, 0.25), "What is it?")

    assert message.role == "user"
    assert message.parts[1:] == ("Frame at 0.00 s:", 0, "Frame at 0.25 s:", 1, "What is it?")
    assert message.parts[0] == "These are 2 frames of a GIF, 1.50 s long, in the order they are shown."


def test_a_still_image_is_called_one():
    (message,) = question_messages(keyframes(0.0, num_frames=1), "What is it?")

    assert message.parts == ("This is an image.", 0, "What is it?")


def test_earlier_turns_stand_between_the_frames_and_the_question():
    messages = question_messages(
        keyframes(0.0), "And now?", [Turn("What?", "a cat"), Turn("Where?", "outside")]
    )

    assert [message.role for message in messages] == ["user", "assistant", "user", "assistant", "user"]
    assert messages[0].parts[-1] == "What?"
    assert [message.parts for message in messages[1:]] == [
        ("a cat",),
        ("Where?",),
        ("outside",),
        ("And now?",),
    ]
    assert not any(isinstance(part, int) for message in messages[1:] for part in message.parts)


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        (" a cat\n", "a cat"),
        ("<think>It has\nwhiskers.</think>\n\nA cat.", "A cat."),
        ("<think>It has no end", ""),
        ("Answer: a cat", "a cat"),
        ('"a cat"', "a cat"),
        ('"a" or "b"', '"a" or "b"'),
        ("the cat's", "the cat's"),
        ("", ""),
    ],
)
def test_replies_are_cleaned(text, clean):
    assert clean_reply(text) == clean
