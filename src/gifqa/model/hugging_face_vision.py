"""Frozen vision towers of Hugging Face: the patches of CLIP, SigLIP and DINOv2 as cells of a grid.

    uint8 (N, H, W, 3) -> grid (N, G, C) of G patches in reading order, pooled (N, P)

`pooled` is what CLIP and SigLIP compare with texts, so that keyframes can be chosen by cached features; of
DINOv2, which knows no texts, it is the class token.

Unlike the checkpoints' own processors, which crop the centre of a wide picture, the whole picture is squashed
to the tower's square, as `gifqa.model.vision` does: what a question is about may stand at the edge.

References: CLIP (Radford et al., 2021), https://arxiv.org/abs/2103.00020; SigLIP (Zhai et al., 2023),
https://arxiv.org/abs/2303.15343; DINOv2 (Oquab et al., 2023), https://arxiv.org/abs/2304.07193
"""

from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gifqa.errors import CheckpointError
from gifqa.extras import require
from gifqa.model.sources import check_report, short

Kind = Literal["clip", "siglip", "dinov2"]
KINDS: tuple[Kind, ...] = ("clip", "siglip", "dinov2")
LAYER = {"clip": -2, "siglip": -1, "dinov2": -1}
"""Which hidden states the cells are. Nothing was ever asked of the patches in CLIP's last layer, which only
feeds its class token; LLaVA (https://arxiv.org/abs/2304.08485) takes the layer before."""


class HuggingFaceVision(nn.Module):
    """A frozen tower; `load_hugging_face_vision` makes one.

    Args:
        kind: of the model.
        vision_model: `CLIPVisionTransformer`, `SiglipVisionTransformer` or `Dinov2Model`.
        pooled_projection: CLIP's projection into the space of its texts; None leaves the pooled vector.
        image_size: side of the square that the tower reads, in pixels.
        mean: of each channel, RGB, of values in [0, 1].
        deviation: of each channel likewise.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(
        self,
        kind: Kind,
        vision_model: Any,
        pooled_projection: nn.Module | None,
        image_size: int,
        mean: list[float],
        deviation: list[float],
    ) -> None:
        super().__init__()
        self.kind, self.image_size = kind, image_size
        self.vision_model = vision_model
        self.pooled_projection = pooled_projection
        self.register_buffer("mean", torch.tensor(mean), persistent=False)
        self.register_buffer("deviation", torch.tensor(deviation), persistent=False)
        self.requires_grad_(False)

    @property
    def channels(self) -> int:
        """C, the width of a cell."""
        return int(self.vision_model.config.hidden_size)

    @property
    def grid_size(self) -> int:
        """G, the cells of a frame."""
        return int((self.image_size // int(self.vision_model.config.patch_size)) ** 2)

    @property
    def pooled_size(self) -> int:
        """P, the width of the pooled vector."""
        projection = self.pooled_projection
        return self.channels if projection is None else int(projection.out_features)  # type: ignore[arg-type]

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """The grid and the pooled vector of each frame.

        Args:
            pixels: uint8 RGB (N, H, W, 3) of any size.

        Returns:
            grid (N, G, C) in reading order, and pooled (N, P), both of the tower's dtype.
        """
        output = self.vision_model(self.pixel_values(pixels), output_hidden_states=True)
        states = output.last_hidden_state if LAYER[self.kind] == -1 else output.hidden_states[-2]
        pooled = output.pooler_output
        if self.pooled_projection is not None:
            pooled = self.pooled_projection(pooled)
        return states[:, states.shape[1] - self.grid_size :], pooled

    def pixel_values(self, pixels: Tensor) -> Tensor:
        """The frames (N, H, W, 3) squashed and normalised, (N, 3, S, S)."""
        dtype = next(self.vision_model.parameters()).dtype
        image = pixels.permute(0, 3, 1, 2).float()
        if image.shape[-2:] != (self.image_size, self.image_size):
            size = (self.image_size, self.image_size)
            image = F.interpolate(image, size, mode="bicubic", antialias=True).round().clamp(0, 255)
        image = (image / 255 - self.mean[:, None, None]) / self.deviation[:, None, None]
        return image.to(dtype)

    def train(self, mode: bool = True) -> "HuggingFaceVision":
        """Nothing changes: a frozen tower stays in evaluation mode, without dropout."""
        return super().train(False)


def load_hugging_face_vision(source: str, *, revision: str | None = None) -> HuggingFaceVision:
    """A tower with its checkpoint's weights, image size and normalisation.

    Args:
        source: id or folder of a CLIP, SigLIP or DINOv2 model with safetensors and its image processor.
        revision: the hub's commit; None takes the newest.

    Raises:
        CheckpointError: if it cannot be loaded, lacks weights or is of another architecture.
        MissingExtra: if transformers is not installed.
    """
    transformers = require("transformers", "train")
    advice = "Give the id or folder of a CLIP, SigLIP or DINOv2 model with safetensors and its processor."
    settings = {"trust_remote_code": False, "revision": revision or "main"}
    try:
        kind = transformers.AutoConfig.from_pretrained(source, **settings).model_type
        if kind not in KINDS:
            raise CheckpointError(
                f"{source} is a {kind} model; a vision tower is one of {', '.join(KINDS)}. {advice}"
            )
        model, report = transformers.AutoModel.from_pretrained(
            source, use_safetensors=True, output_loading_info=True, **settings
        )
        processor = transformers.AutoImageProcessor.from_pretrained(source, **settings)
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise CheckpointError(
            f"the vision tower {source} cannot be loaded ({short(error)}). {advice}"
        ) from error
    check_report(source, report, "the vision tower")
    vision_model = model if kind == "dinov2" else model.vision_model
    projection = model.visual_projection if kind == "clip" else None
    image_size = _image_size(processor)
    _check_size(source, kind, vision_model.config, image_size)
    tower = HuggingFaceVision(
        kind, vision_model, projection, image_size, list(processor.image_mean), list(processor.image_std)
    )
    return tower.eval()


def _image_size(processor: Any) -> int:
    """The side that the processor would crop or squash to."""
    size = dict(processor.crop_size if getattr(processor, "do_center_crop", None) else processor.size)
    return int(size.get("height") or size.get("shortest_edge") or 0)


def _check_size(source: str, kind: Kind, config: Any, image_size: int) -> None:
    """Raises a CheckpointError if the processor's pictures are not what the model reads."""
    fits = image_size % config.patch_size == 0 if kind == "dinov2" else image_size == config.image_size
    if not fits or image_size < config.patch_size:
        raise CheckpointError(
            f"the image processor of {source} makes pictures of {image_size} pixels, but the model reads "
            f"{config.image_size} in patches of {config.patch_size}. Correct its preprocessor_config.json."
        )
