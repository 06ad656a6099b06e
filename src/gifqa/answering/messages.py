"""The dialogue that a chat model is shown: frames with their times, earlier turns, and the question.

Shared by the Hugging Face and the remote answerer, which differ only in how they write a frame down. The
prompts of the shipped model are in `gifqa.prompt`: it is trained on them.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from gifqa.answering.base import Turn
from gifqa.retrieval.clip_cut import Keyframes

SHORT = "Answer in a few words."
DESCRIBE = "Describe what happens in one sentence."

_THOUGHT = re.compile(r"<think>.*?(</think>|$)", re.DOTALL)
_LABEL = re.compile(r"^(answer|assistant)\s*:\s*", re.IGNORECASE)


@dataclass(frozen=True)
class Message:
    """One message of a dialogue."""

    role: str
    """`user` or `assistant`."""
    parts: tuple[str | int, ...]
    """Texts, and numbers that stand for the keyframe at that position."""

    @property
    def has_frames(self) -> bool:
        """Whether a keyframe is in it."""
        return any(isinstance(part, int) for part in self.parts)


def question_messages(shown: Keyframes | str, request: str, history: Sequence[Turn] = ()) -> list[Message]:
    """The frames, the earlier turns and the request, in the order they are read.

    Args:
        shown: K frames in time order, or a text that stands for them.
        request: the question and how to answer it.
        history: earlier turns, oldest first.

    Returns:
        Messages that begin and end with the user; the first one has the frames or the text.
    """
    requests = [turn.question for turn in history] + [request]
    parts = [shown] if isinstance(shown, str) else _frame_parts(shown)
    messages = [Message("user", (*parts, requests[0]))]
    for turn, following in zip(history, requests[1:], strict=True):
        messages.append(Message("assistant", (turn.answer,)))
        messages.append(Message("user", (following,)))
    return messages


def clean_reply(text: str) -> str:
    """What a chat model wrote, on one line, without its thoughts, its label and quotes around the whole."""
    line = " ".join(_THOUGHT.sub(" ", text).split())
    line = _LABEL.sub("", line).strip()
    if len(line) > 1 and line[0] == line[-1] and line[0] in "\"'" and line.count(line[0]) == 2:
        line = line[1:-1].strip()
    return line


def _frame_parts(keyframes: Keyframes) -> list[str | int]:
    count = len(keyframes.indices)
    if keyframes.num_frames == 1:
        return ["This is an image.", 0]
    seconds = f"{keyframes.duration_seconds:.2f} s long"
    parts: list[str | int] = [f"These are {count} frames of a GIF, {seconds}, in the order they are shown."]
    for position, pts_seconds in enumerate(keyframes.pts_seconds):
        parts += [f"Frame at {pts_seconds:.2f} s:", position]
    return parts
