"""Ctrl-C between two steps: a step that has begun is finished, so that what is saved is whole."""

import signal
import threading
from types import FrameType, TracebackType
from typing import Any, Self


class Interrupt:
    """While it is entered, the first Ctrl-C is only noted; a second one stops the process at once.

    Of several processes each gets the signal, some of them twice from their launcher; there, none stops at
    once. In a thread other than the main one nothing is changed.

    Args:
        is_alone: whether this is the only process.
    """

    def __init__(self, *, is_alone: bool) -> None:
        self.is_set = False
        self._is_alone = is_alone
        self._before: Any = None

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGINT, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.is_set and self._is_alone:
            raise KeyboardInterrupt
        self.is_set = True
