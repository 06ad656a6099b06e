"""Every error that gifqa raises on purpose.

    GifQAError
    ├── MediaError
    │   ├── UnsupportedMedia    not a format that gifqa reads
    │   ├── MediaTooLarge       over a limit of size, canvas, frames or time
    │   │   └── FetchTimeout    over the limit of a download's time
    │   └── UnreadableMedia     missing, empty, damaged beyond the first frame
    │       └── FetchFailed     a server that is not reached, or answers with an error
    ├── RecordError             a line of a data file, named by file and line
    ├── ConfigError             a flag, a recipe or a config file
    ├── CheckpointError         a bundle, a checkpoint or a remote model
    └── MissingExtra            an optional dependency (also an ImportError)

A message says what was given, what is allowed and what to do. The command line prints it as one line.
"""


class GifQAError(Exception):
    """Anything that gifqa reports about its input, its settings or its files."""


class MediaError(GifQAError):
    """A GIF, image or video that cannot be used."""


class UnsupportedMedia(MediaError):
    """The bytes are no format that gifqa reads."""


class MediaTooLarge(MediaError):
    """The media are over a limit; the message names the limit and its flag."""


class UnreadableMedia(MediaError):
    """The media are missing, empty or too damaged to give one frame."""


class FetchTimeout(MediaTooLarge):
    """A download takes too long; at another time it may be quicker."""


class FetchFailed(UnreadableMedia):
    """A server is not reached, or answers with an error of HTTP."""

    def __init__(self, message: str, status: int | None = None, retry_after: str = "") -> None:
        """Keep what tells whether to try again.

        Args:
            message: the whole message.
            status: of HTTP; None if there was no answer.
            retry_after: the header of that name: seconds or a date; empty if there was none.
        """
        super().__init__(message)
        self.status, self.retry_after = status, retry_after


class RecordError(GifQAError):
    """A record of a data file that cannot be used; the message begins with `file:line`."""


class ConfigError(GifQAError):
    """A setting that is unknown, out of range or at odds with another."""


class CheckpointError(GifQAError):
    """A bundle, checkpoint or remote model that cannot be loaded or does not answer."""


class MissingExtra(GifQAError, ImportError):
    """An optional dependency is not installed; the message has the command that installs it."""
