"""One GIF from its URL: what came, told by its bytes and not by what the server calls it."""

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Literal

from gifqa.decoding_gif import open_gif
from gifqa.decoding_images import open_animation
from gifqa.errors import FetchFailed, FetchTimeout, MediaTooLarge, UnreadableMedia, UnsupportedMedia
from gifqa.limits import Budget, MediaLimits
from gifqa.media_types import ANIMATED_KINDS, STILL_KINDS, sniff_kind

Status = Literal["ok", "dead", "still", "too large", "no media", "refused", "failed"]
"""ok         an animated GIF, WebP or APNG
dead       the server says that there is nothing: 404, 410, 403 ...
still      a picture of one frame
too large  over a limit
no media   a web page, a video, a damaged file
refused    no public http(s) address, or too many redirects
failed     no answer, an error of the server, too slow; tried again by the next run"""
Fetch = Callable[[str, MediaLimits], tuple[bytes, str]]
"""`gifqa.url_policy.fetch_url`, or what a test puts in its place."""
STATUSES_TO_TRY_AGAIN = (408, 425, 429, 500, 502, 503, 504)


@dataclass(frozen=True)
class Fetched:
    """What a URL gave."""

    status: Status
    detail: str = ""
    """Why it is not "ok", or what is wrong with it all the same."""
    data: bytes = b""
    """The file; empty unless the status is "ok"."""
    kind: str = ""
    """"gif", "webp" or "apng"."""
    num_frames: int = 0
    wait_seconds: float | None = None
    """How long the server asks to wait before it is tried again."""

    @property
    def sha256(self) -> str:
        """Of the file, in hexadecimal; empty if there is none."""
        return hashlib.sha256(self.data).hexdigest() if self.data else ""


def fetch_gif(url: str, limits: MediaLimits, fetch: Fetch) -> Fetched:
    """Fetch a URL once and look at what came. Nothing that the server does is raised."""
    try:
        data, name = fetch(url, limits)
    except FetchTimeout as error:
        return Fetched("failed", str(error))
    except FetchFailed as error:
        if error.status is None or error.status in STATUSES_TO_TRY_AGAIN:
            return Fetched("failed", str(error), wait_seconds=seconds_of(error.retry_after))
        return Fetched("dead", str(error))
    except MediaTooLarge as error:
        return Fetched("too large", str(error))
    except (UnreadableMedia, UnsupportedMedia) as error:
        return Fetched("refused", str(error))
    return judge(data, name, limits)


def judge(data: bytes, name: str, limits: MediaLimits) -> Fetched:
    """Whether the bytes are an animation. Its frames are counted, not decoded.

    Args:
        data: the file.
        name: how details call it.
        limits: of canvas and frames.
    """
    try:
        kind = sniff_kind(data, name)
        if kind in STILL_KINDS:
            return Fetched("still", f"{name} is a {kind.upper()} image")
        if kind not in ANIMATED_KINDS:
            raise UnsupportedMedia(f"{name} is a video ({kind}), not an animated image")
        budget = Budget(name, limits)
        source = open_gif(data, budget) if kind == "gif" else open_animation(data, kind, budget)
    except MediaTooLarge as error:
        return Fetched("too large", str(error))
    except (UnreadableMedia, UnsupportedMedia) as error:
        return Fetched("no media", str(error))
    warning = "; ".join(source.warnings)
    if source.num_frames > 1:
        return Fetched("ok", warning, data, kind, source.num_frames)
    if warning:
        return Fetched("no media", f"{name} is damaged behind its first frame: {warning}")
    return Fetched("still", f"{name} is a {kind.upper()} of one frame")


def seconds_of(retry_after: str) -> float | None:
    """The header `Retry-After`, seconds or a date, as seconds from now; None if it is neither."""
    if retry_after.strip().isdigit():
        return float(retry_after)
    try:
        return max(0.0, parsedate_to_datetime(retry_after).timestamp() - time.time())
    except ValueError:
        return None
