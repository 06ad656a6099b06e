"""`GifQA` by the name of any model, a checkpoint of training among them: torch is loaded for that alone."""

from pathlib import Path

from gifqa.answering.captions import Approach
from gifqa.extras import require
from gifqa.limits import MediaLimits
from gifqa.model.checkpoint_config import is_checkpoint
from gifqa.pipeline import GifQA
from gifqa.retrieval.cache import FeatureCache
from gifqa.retrieval.config import ClipCutConfig


def open_qa(
    model: str,
    *,
    limits: MediaLimits | None = None,
    clip_cut: ClipCutConfig | None = None,
    cache: FeatureCache | None = None,
    encoder: str | None = None,
    approach: Approach = "frames",
) -> GifQA:
    """The `GifQA` of a model by its name; nothing is loaded yet, but a checkpoint of training.

    A checkpoint chooses keyframes as its training did, where it has what that takes, and as many as it reads
    unless `clip_cut` says how many.

    Args:
        model: the folder of a checkpoint, or what `GifQA` takes.
        limits: this and the rest as of `GifQA`.
        clip_cut: how keyframes are chosen.
        cache: where the features of frames are kept.
        encoder: `hf:` and the name of a dual encoder to choose keyframes with.
        approach: what the model answers from.

    Raises:
        CheckpointError: if the model or the encoder names nothing, or the checkpoint cannot be loaded.
        MissingExtra: if it is a checkpoint and torch is not installed.
    """
    if not is_checkpoint(Path(model)):
        return GifQA(model, limits=limits, clip_cut=clip_cut, cache=cache, encoder=encoder, approach=approach)
    answerer = require("gifqa.model.torch_answerer", "train").TorchAnswerer.from_pretrained(model)
    clip_cut = clip_cut or ClipCutConfig()
    if "top_k" not in clip_cut.model_fields_set:
        clip_cut = clip_cut.model_copy(update={"top_k": answerer.num_frames})
    return GifQA(
        limits=limits,
        clip_cut=clip_cut,
        cache=cache,
        encoder=encoder or answerer.encoder,
        answerer=answerer,
        approach=approach,
    )
