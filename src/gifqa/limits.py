"""How large, long and slow media may be, and the checks that hold them to it."""

import time

from pydantic import BaseModel, ConfigDict, Field

from gifqa.errors import MediaTooLarge, UnreadableMedia

FLAGS = {
    "max_bytes": "--max-megabytes",
    "max_side": "--max-side",
    "max_canvas_pixels": "--max-canvas-megapixels",
    "max_frames_scanned": "--max-frames-scanned",
    "max_pixels_decoded": "--max-megapixels",
    "max_pixels_kept": "--max-megapixels-kept",
    "max_frames": "--max-frames",
    "timeout_seconds": "--max-seconds",
    "url_timeout_seconds": "--max-url-seconds",
    "max_redirects": "--max-redirects",
}
"""Field of `MediaLimits` -> the command line's flag; megabytes are 2**20 bytes, megapixels 10**6 pixels."""


class MediaLimits(BaseModel):
    """What media may cost: the defaults let ordinary GIFs through and bound the worst file to seconds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_bytes: int = Field(default=32 * 2**20, ge=1)
    """Bytes of the file, of the folder's frames together, or of a download."""
    max_side: int = Field(default=8192, ge=1)
    """Pixels of the longer side of the canvas."""
    max_canvas_pixels: int = Field(default=16_800_000, ge=1)
    """Width x height of one frame."""
    max_frames_scanned: int = Field(default=4096, ge=1)
    """Frames of the source, kept or not."""
    max_pixels_decoded: int = Field(default=300_000_000, ge=1)
    """Pixels that the decoder has to produce for all frames together; about five seconds' work."""
    max_pixels_kept: int = Field(default=80_000_000, ge=1)
    """Pixels of the frames kept in memory, three bytes each; fewer frames of a large canvas are kept."""
    max_frames: int = Field(default=256, ge=1)
    """Frames kept in memory; a source with more is sampled evenly while it is decoded."""
    timeout_seconds: float = Field(default=10.0, gt=0)
    """Wall-clock time of one decode."""
    allow_urls: bool = True
    """Whether http and https URLs are fetched at all."""
    url_timeout_seconds: float = Field(default=15.0, gt=0)
    """Wall-clock time of one download, redirects included."""
    max_redirects: int = Field(default=3, ge=0)
    """Redirects followed; each is checked like the first address."""


def how_to_raise(field: str) -> str:
    """The end of a message about the limit `field`: its flag and its name in Python."""
    return f"raise {FLAGS[field]} (MediaLimits.{field})"


def check_bytes(num_bytes: int, name: str, limits: MediaLimits) -> None:
    """Refuse a file that is too large.

    Args:
        num_bytes: its size, or a part of it that is already over the limit.
        name: how the message calls it.
        limits: has the limit.

    Raises:
        MediaTooLarge: if it is larger than `limits.max_bytes`.
    """
    if num_bytes > limits.max_bytes:
        raise MediaTooLarge(
            f"{name} is larger than {limits.max_bytes / 2**20:.4g} MB, the limit. "
            f"Shorten or scale it down, or {how_to_raise('max_bytes')}."
        )


class Budget:
    """The limits of one decode. Every check raises `MediaTooLarge` with the limit and its flag.

    The checks come before the work they bound: sizes after a scan of the headers, time before each frame. No
    single frame can take long once its size is checked, so one call cannot hold up the clock.
    """

    def __init__(self, name: str, limits: MediaLimits) -> None:
        """Start the clock.

        Args:
            name: how messages call the media.
            limits: what they must keep.
        """
        self.name = name
        self.limits = limits
        self._deadline = time.monotonic() + limits.timeout_seconds

    @property
    def seconds_left(self) -> float:
        """What the clock still allows, at least a hundredth of a second."""
        return max(0.01, self._deadline - time.monotonic())

    def check_time(self) -> None:
        """Stop when the media take too long to decode."""
        if time.monotonic() > self._deadline:
            raise MediaTooLarge(
                f"{self.name} takes more than {self.limits.timeout_seconds:g} seconds to decode, the limit. "
                f"Shorten it, or {how_to_raise('timeout_seconds')}."
            )

    def check_canvas(self, width: int, height: int) -> None:
        """Refuse a canvas without pixels, with too long a side or with too many pixels."""
        if width < 1 or height < 1:
            raise UnreadableMedia(
                f"{self.name} has a canvas of {width}x{height} pixels; it needs at least 1x1. Save it anew."
            )
        if max(width, height) > self.limits.max_side:
            raise MediaTooLarge(
                f"{self.name} is {width}x{height} pixels; a side may have {self.limits.max_side}. "
                f"Scale it down, or {how_to_raise('max_side')}."
            )
        if width * height > self.limits.max_canvas_pixels:
            raise MediaTooLarge(
                f"{self.name} is {width}x{height} pixels = {width * height / 1e6:.1f} megapixels; a frame "
                f"may have {self.limits.max_canvas_pixels / 1e6:.4g}. Scale it down, or "
                f"{how_to_raise('max_canvas_pixels')}."
            )

    def check_frame_count(self, num_frames: int) -> None:
        """Refuse media with more frames than may be scanned."""
        if num_frames > self.limits.max_frames_scanned:
            raise MediaTooLarge(
                f"{self.name} has more than {self.limits.max_frames_scanned} frames, the limit. "
                f"Shorten it, or {how_to_raise('max_frames_scanned')}."
            )

    def check_pixels(self, num_pixels: int) -> None:
        """Refuse media whose frames hold too many pixels altogether."""
        if num_pixels > self.limits.max_pixels_decoded:
            raise MediaTooLarge(
                f"{self.name} takes {num_pixels / 1e6:.0f} megapixels to decode (width x height x frames); "
                f"the limit is {self.limits.max_pixels_decoded / 1e6:.4g}. Scale it down or shorten it, or "
                f"{how_to_raise('max_pixels_decoded')}."
            )
