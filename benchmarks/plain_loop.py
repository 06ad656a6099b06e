"""The straightforward loop of stage `language`, for `training_speed.py` to stand beside the project's own.

In it: the vision tower, run anew on every frame; logits of the whole, uncut vocabulary at every position. Not
in it, though such a loop would have them: decoding and the text tower.
"""

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F
from training_runs import language_stage

from gifqa.errors import ConfigError
from gifqa.model.vision_language_model import IGNORE_INDEX
from gifqa.training.data.features import clip_frames, photo_view, square
from gifqa.training.data.targets import UNKNOWN
from gifqa.training.language import CLIP_NORM
from gifqa.training.parts import Batch
from gifqa.training.release import load_tower
from gifqa.training.run_state import Run


class PlainLoop:
    """Model, optimiser and tower.

    Args:
        run: by the recipe that both loops share.
        vocabulary_size: of the uncut language model; rows beyond the run's own are made up.

    Raises:
        ConfigError: if the run's vocabulary is larger.
    """

    def __init__(self, run: Run, vocabulary_size: int) -> None:
        self.run, self.stage, self.tower = run, language_stage(run), load_tower(run)
        self.tower_seconds = 0.0
        language_model = self.stage.model.language_model
        known = language_model.get_input_embeddings().weight.shape[0]
        if vocabulary_size < known:
            raise ConfigError(
                f"--vocabulary is {vocabulary_size}, but the language model of {run.folder} has {known} "
                "tokens already; an uncut one has as many or more. Raise it."
            )
        language_model.resize_token_embeddings(vocabulary_size, mean_resizing=False)
        for embeddings in (language_model.get_input_embeddings(), language_model.get_output_embeddings()):
            embeddings.requires_grad_(False)

    def decode(self, batch: Batch) -> list[Tensor]:
        """The frames of each sample, uint8 (F, S, S, 3), as they were when the features were computed."""
        return [
            torch.from_numpy(np.stack([self._frame(sample.picture, row) for row in rows]))
            for sample, rows in zip(batch.samples, batch.rows, strict=True)
        ]

    def step(self, batch: Batch, pixels: Sequence[Tensor]) -> float:
        """One optimiser step; the loss."""
        stage = self.stage
        stage.learner.train()
        stage.optimizer.zero_grad(set_to_none=True)
        part = stage.load_pass(batch, range(len(batch.samples)))
        with stage.learner.autocast(part):
            states = stage.model.connector(
                self.grids(pixels), part.frame_mask, part.question, part.question_mask
            )
            embeds = stage.model.inputs_embeds(stage.model.visual_tokens(states), part.sequences)
            hidden = stage.model.last_hidden(embeds, part.sequences.attention_mask, part.sequences.segments)
            logits = stage.model.language_model.get_output_embeddings()(hidden)
        labels = part.sequences.labels[:, 1:]
        loss = F.cross_entropy(logits[:, :-1].float().transpose(1, 2), labels, ignore_index=IGNORE_INDEX)
        head = stage.model.answer_head
        if head is not None and bool((part.answers != UNKNOWN).any()):
            answers = F.cross_entropy(head(states.float()), part.answers, ignore_index=UNKNOWN)
            loss = loss + stage.settings.answer_weight * answers
        loss.backward()
        nn.utils.clip_grad_norm_(list(stage.trained().values()), CLIP_NORM)
        stage.optimizer.step()
        stage.schedule.step()
        return loss.item()

    @torch.no_grad()
    def grids(self, pixels: Sequence[Tensor]) -> Tensor:
        """The tower's grids, float32 (B, F, G, C), padded to the most frames."""
        began = time.perf_counter()
        grid, _ = self.tower(torch.cat(list(pixels)))
        padded = nn.utils.rnn.pad_sequence(
            grid.float().split([len(frames) for frames in pixels]), batch_first=True
        )
        self.tower_seconds += time.perf_counter() - began
        return padded

    def _frame(self, name: str, row: int) -> np.ndarray:
        place = self.run.store.rows(name).index(row)
        if self.run.store.is_clip(name):
            return square(clip_frames(_found(self.run.dataset.clips, name))[place][0])
        with Image.open(_found(self.run.dataset.photos, name)) as photo:
            return square(photo_view(photo, place, name)[0])


def _found(files: dict[str, Path], name: str) -> Path:
    if name not in files:
        raise ConfigError(
            f"{name} has features, but its file is not in the data folder; the straightforward loop reads "
            "it. Give the --data of that run."
        )
    return files[name]
