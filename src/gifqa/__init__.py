"""gifqa: questions about GIFs, answered offline on a CPU.

    from gifqa import GifQA

    answer = GifQA().ask("cat.gif", "What is the cat doing?")
    answer.text, answer.confidence, answer.keyframes.pts_seconds

Importing this package loads nothing heavy: each public name is fetched from its module on first use.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from gifqa.errors import (
    CheckpointError,
    ConfigError,
    GifQAError,
    MediaError,
    MediaTooLarge,
    MissingExtra,
    RecordError,
    UnreadableMedia,
    UnsupportedMedia,
)

if TYPE_CHECKING:
    from gifqa.answering.base import Alternative, Answer, Turn
    from gifqa.limits import MediaLimits
    from gifqa.pipeline import Chat, GifQA
    from gifqa.retrieval.clip_cut import Keyframes
    from gifqa.retrieval.config import ClipCutConfig

    __version__: str

_HOMES = {
    "Alternative": "gifqa.answering.base",
    "Answer": "gifqa.answering.base",
    "Chat": "gifqa.pipeline",
    "ClipCutConfig": "gifqa.retrieval.config",
    "GifQA": "gifqa.pipeline",
    "Keyframes": "gifqa.retrieval.clip_cut",
    "MediaLimits": "gifqa.limits",
    "Turn": "gifqa.answering.base",
}

__all__ = [
    "Alternative",
    "Answer",
    "Chat",
    "CheckpointError",
    "ClipCutConfig",
    "ConfigError",
    "GifQA",
    "GifQAError",
    "Keyframes",
    "MediaError",
    "MediaLimits",
    "MediaTooLarge",
    "MissingExtra",
    "RecordError",
    "Turn",
    "UnreadableMedia",
    "UnsupportedMedia",
    "__version__",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        value: Any = import_module("importlib.metadata").version("gifqa")
    elif name in _HOMES:
        value = getattr(import_module(_HOMES[name]), name)
    else:
        raise AttributeError(f"module 'gifqa' has no attribute {name!r}; its names are {', '.join(__all__)}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
