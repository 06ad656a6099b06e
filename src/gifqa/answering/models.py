"""Which encoder and which answerer a name stands for, each loaded when first used."""

import threading
from pathlib import Path
from typing import get_args
from urllib.parse import urlsplit

from gifqa.answering.base import Answerer
from gifqa.answering.captions import Approach, CaptionsAnswerer
from gifqa.errors import CheckpointError, ConfigError
from gifqa.retrieval.embedder import DualEncoder, HuggingFaceEncoder

LITE = "lite"
_CHOICES = "'lite', a bundle's folder, 'hf:ID-OR-FOLDER' or 'http(s)://HOST/v1#MODEL'"


class Models:
    """The dual encoder and the answerer of one `GifQA`; making it loads nothing, and it is safe with threads.

    Keyframes are always chosen by a dual encoder on this machine, also for a model on a server: that of the
    bundle, unless another is named.
    """

    def __init__(
        self,
        model: str | Path = LITE,
        *,
        encoder: DualEncoder | str | None = None,
        answerer: Answerer | None = None,
        approach: Approach = "frames",
    ) -> None:
        """Check the names.

        Args:
            model: `lite`, a bundle's folder, `hf:` and an id or folder, or a server's URL, `#` and its model.
            encoder: a dual encoder, or `hf:` and the id or folder of one; None is the bundle's.
            answerer: an answerer made by the caller, which then stands for `model`.
            approach: `captions` has the answerer describe each keyframe and read what it wrote.

        Raises:
            CheckpointError: if the name is none of these.
            ConfigError: if there is no such approach.
        """
        if approach not in get_args(Approach):
            known = " or ".join(get_args(Approach))
            raise ConfigError(f"the approach is {approach!r}; it can be {known}. Choose one of them.")
        self._approach = approach
        self._model = str(model)
        self._answerer = answerer
        self._encoder = None if isinstance(encoder, str) else encoder
        self._encoder_id = _encoder_id(encoder) if isinstance(encoder, str) else None
        self._is_bundle = answerer is None and _is_bundle(self._model)
        self._bundle: tuple[DualEncoder, Answerer] | None = None
        self._foreign_encoder = encoder is not None
        self._lock = threading.RLock()

    @property
    def encoder(self) -> DualEncoder:
        """The dual encoder, loaded if it was not.

        Raises:
            CheckpointError: if it cannot be loaded.
            MissingExtra: if it needs a package that is not installed.
        """
        with self._lock:
            if self._encoder is None:
                if self._encoder_id is not None:
                    self._encoder = HuggingFaceEncoder(self._encoder_id)
                else:
                    self._encoder = self._load_bundle()[0]
            return self._encoder

    @property
    def answerer(self) -> Answerer:
        """The answerer, loaded if it was not.

        Raises:
            CheckpointError: if it cannot be loaded.
            ConfigError: if it reads the features of its own encoder and another was named, or if it cannot
                answer from captions and is to.
            MissingExtra: if it needs a package that is not installed.
        """
        with self._lock:
            answerer = self._plain_answerer()
            return CaptionsAnswerer(answerer) if self._approach == "captions" else answerer

    def _plain_answerer(self) -> Answerer:
        """The answerer that sees frames; the lock is held."""
        if self._answerer is None:
            if self._is_bundle and self._foreign_encoder:
                raise ConfigError(
                    f"the model {self._model!r} is given with another encoder; it answers from its own "
                    "encoder's features. Leave --encoder out, or take a model by hf: or http(s)://."
                )
            self._answerer = self._load_bundle()[1] if self._is_bundle else _load_answerer(self._model)
        return self._answerer

    @property
    def knows_english_only(self) -> bool:
        """Whether the bundle takes part: its encoder chooses the keyframes, or it answers."""
        return not self._foreign_encoder

    def _load_bundle(self) -> tuple[DualEncoder, Answerer]:
        from gifqa.answering.lite import load_lite

        if self._bundle is None:
            own_folder = self._is_bundle and self._model != LITE
            self._bundle = load_lite(Path(self._model) if own_folder else None)
        return self._bundle


def _is_bundle(model: str) -> bool:
    """Whether the name stands for a bundle; False for Hugging Face and servers.

    Raises:
        CheckpointError: if it stands for nothing.
    """
    if model == LITE:
        return True
    if model.startswith("hf:"):
        _after_prefix(model)
        return False
    if model.startswith(("http://", "https://")):
        _server_and_model(model)
        return False
    if model and Path(model).is_dir():
        return True
    raise CheckpointError(f"{model!r} is no model and no folder; a model is {_CHOICES}. Check the spelling.")


def _load_answerer(model: str) -> Answerer:
    if model.startswith("hf:"):
        from gifqa.answering.transformers import TransformersAnswerer

        return TransformersAnswerer(_after_prefix(model))
    from gifqa.answering.remote import RemoteAnswerer

    base_url, name = _server_and_model(model)
    return RemoteAnswerer(base_url, name)


def _encoder_id(encoder: str) -> str:
    if not encoder.startswith("hf:"):
        raise CheckpointError(
            f"{encoder!r} is no encoder; an encoder is 'hf:ID-OR-FOLDER' of a CLIP or SigLIP model. "
            "Write hf: before its name."
        )
    return _after_prefix(encoder)


def _after_prefix(name: str) -> str:
    checkpoint = name.removeprefix("hf:")
    if not checkpoint:
        raise CheckpointError("'hf:' names no checkpoint; write hf:ID or hf:FOLDER. Add one.")
    return checkpoint


def _server_and_model(url: str) -> tuple[str, str]:
    """The base URL of a server and the model that is asked of it."""
    parts = urlsplit(url)
    if not parts.hostname or not parts.fragment:
        raise CheckpointError(
            f"{url!r} names no model; a server is written http(s)://HOST/v1#MODEL. Add #MODEL."
        )
    return url.partition("#")[0].rstrip("/"), parts.fragment
