"""The model of the language stage with its losses: one forward pass of some samples gives their sums.

Dropout is on in what is trained, and off in the language model: its own weights are frozen, and noise that no
weight can answer to only blurs what the others learn. (LoRA has none.)
"""

from collections.abc import Callable
from typing import Any, Self

import torch
from torch import Tensor, nn

from gifqa.model.precision import autocast
from gifqa.model.vision_language_model import IGNORE_INDEX, VisionLanguageModel
from gifqa.training.data.targets import UNKNOWN
from gifqa.training.losses import MVMDecoder, mvm_loss, summed_cross_entropy
from gifqa.training.masking import ReadSequences, drop_tokens, teacher_states
from gifqa.training.parts import Pass
from gifqa.training.recipe import LanguageTraining


class LanguageLearner(nn.Module):
    """The whole model, and what only its training needs.

    Args:
        model: parts to be trained require a gradient, the others none.
        settings: precision, activation checkpointing and the losses' options.
    """

    def __init__(self, model: VisionLanguageModel, settings: LanguageTraining) -> None:
        super().__init__()
        self.model, self.settings = model, settings
        size = model.language_model.get_input_embeddings().weight.shape[1]
        has_decoder = bool(settings.mvm.weight) and settings.mvm.decoder
        self.decoder = MVMDecoder(size) if has_decoder else None
        if settings.activation_checkpointing:
            enable_checkpointing(model.language_model)

    def train(self, mode: bool = True) -> Self:
        """Training mode, the language model and all that is frozen excepted."""
        super().train(mode)
        self.model.language_model.eval()
        for part in self.model.children():
            if not any(value.requires_grad for value in part.parameters()):
                part.eval()
        if mode and self.settings.activation_checkpointing:
            for part in self.model.language_model.modules():
                if hasattr(part, "gradient_checkpointing"):
                    part.training = True  # of itself alone: transformers checkpoints a layer only then
        return self

    def forward(self, part: Pass) -> dict[str, Tensor]:
        """Sums of the losses over the pass; see `gifqa.training.parts.Batch.counts` for their divisors.

        Args:
            part: with `kept`, the language-model loss is that of the masked pass.

        Returns:
            float32 scalars: "language"; "answer" if the model has a head for it; "mvm" with `kept`.
        """
        found = {}
        with self.autocast(part):
            states = self.states(part)
            embeds = self.model.inputs_embeds(self.model.visual_tokens(states), part.sequences)
            read = ReadSequences.of(embeds, part.sequences)
            if part.kept is not None:
                read = drop_tokens(embeds, part.sequences, part.kept)
            hidden = self.model.last_hidden(read.inputs_embeds, read.attention_mask, read.segments)
            logits, labels = self.answer_logits(hidden, read.labels)
            weights = part.sequences.label_weights
            found["language"] = summed_cross_entropy(logits, labels, weights=weights[weights > 0])
            if self.model.answer_head is not None:
                found["answer"] = summed_cross_entropy(self.model.answer_head(states), part.answers, UNKNOWN)
            if part.kept is not None:
                found["mvm"] = self.mvm(hidden, read, embeds, part)
        return found

    def scores(self, part: Pass) -> tuple[Tensor, Tensor]:
        """Logits (M, V) where a label follows, and those labels (M,), all tokens read."""
        model, sequences = self.model, part.sequences
        with self.autocast(part):
            embeds = model.inputs_embeds(model.visual_tokens(self.states(part)), sequences)
            hidden = model.last_hidden(embeds, sequences.attention_mask, sequences.segments)
            return self.answer_logits(hidden, sequences.labels)

    def write(self, part: Pass, limit: int, agree: Callable[[int], int]) -> list[int]:
        """The likeliest tokens after one sequence, without the one that ends it.

        Args:
            part: of one sample, its sequence without an answer.
            limit: at most so many.
            agree: what processes that write together take for the next token, given this one's.
        """
        model, language_model, tokens = self.model, self.model.language_model, list[int]()
        head, words = language_model.get_output_embeddings(), language_model.get_input_embeddings()
        with self.autocast(part):
            embeds = model.inputs_embeds(model.visual_tokens(self.states(part)), part.sequences)
            while len(tokens) < limit:
                mask = torch.ones(embeds.shape[:2], dtype=torch.long, device=embeds.device)
                token = head(model.last_hidden(embeds, mask)[:, -1]).argmax(-1)
                token.fill_(agree(int(token)))
                if int(token) == model.eos_token_id:
                    break
                tokens.append(int(token))
                embeds = torch.cat([embeds, words(token)[:, None].to(embeds.dtype)], dim=1)
        return tokens

    def layers(self) -> list[nn.Module]:
        """The language model's layers, of the class that its architecture names; inner ones first."""
        language_model = self.model.language_model
        base = language_model.get_base_model() if hasattr(language_model, "peft_config") else language_model
        names = base._no_split_modules or ()
        return [part for part in reversed([*base.modules()]) if type(part).__name__ in names]

    def mvm(self, hidden: Tensor, read: ReadSequences, embeds: Tensor, part: Pass) -> Tensor:
        """The masked-video-modelling loss, summed over rows.

        Args:
            hidden: last states of the masked pass, (B, S', E).
            read: what it read.
            embeds: the full sequences (B, S, E).
            part: the pass; it has `kept`.
        """
        student = hidden[read.visual_mask].view(len(hidden), -1, hidden.shape[-1])
        if self.decoder is not None:
            student = self.decoder(student.to(self.decoder.linear.weight.dtype))
        teacher = teacher_states(self.model, embeds, part.sequences)
        kept: Any = part.kept
        return mvm_loss(student.float(), teacher.float(), kept, self.settings.mvm.distance) * len(hidden)

    def states(self, part: Pass) -> Tensor:
        """The connector's states (B, K, D)."""
        states: Tensor = self.model.connector(part.grid, part.frame_mask, part.question, part.question_mask)
        return states

    def answer_logits(self, hidden: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (M, V) where a label follows, and those labels (M,); nowhere else are any computed."""
        at = labels[:, 1:] != IGNORE_INDEX
        logits: Tensor = self.model.language_model.get_output_embeddings()(hidden[:, :-1][at])
        return logits, labels[:, 1:][at]

    def autocast(self, part: Pass) -> torch.autocast:
        """The recipe's precision."""
        return autocast(part.grid.device.type, wanted=self.settings.precision == "bf16")


def enable_checkpointing(language_model: Any) -> None:
    """Have the layers of a `transformers` model compute their activations again in the backward pass."""
    base = language_model.get_base_model() if hasattr(language_model, "peft_config") else language_model
    options = {"use_reentrant": False}
    if hasattr(base, "activation_checkpointing_enable"):  # transformers 5.20 renamed it
        base.activation_checkpointing_enable(activation_checkpointing_kwargs=options)
    else:
        base.gradient_checkpointing_enable(gradient_checkpointing_kwargs=options)
