"""The model of a run, put together from the parts that its recipe names."""

import json
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from gifqa.model.connectors import MLPConnector
from gifqa.model.dual_encoder import DualEncoderHeads
from gifqa.model.global_local import GlobalLocal
from gifqa.model.language import add_lora, load_language_model, round_for_int4
from gifqa.model.pooled_frames import PooledFrames
from gifqa.model.pretrained_qformers import load_pretrained_qformer
from gifqa.model.qformer import QFormer
from gifqa.model.qformer_heads import AnswerHead, LanguageProjection
from gifqa.model.vision_language_model import VisionLanguageModel
from gifqa.training.data.frame_choice import FrameVectors, HeadVectors, PooledVectors
from gifqa.training.data.targets import common_answers, common_words
from gifqa.training.loop.checkpoints import load_best, load_trained_weights
from gifqa.training.loop.distribution import Processes
from gifqa.training.qformer import PretrainingQFormer
from gifqa.training.run_state import Run


def write_vocabulary(run: Run) -> None:
    """Write vocabulary.json, if it is not there: answers and words that the heads know, and a length.

    The length is the mean one of the language model's word embeddings. Of several processes the main one
    writes, and all wait.
    """
    path, processes = run.folder / "vocabulary.json", Processes()
    if processes.is_main and not path.exists():
        _write_vocabulary(run, path)
    processes.wait()


def _write_vocabulary(run: Run, path: Path) -> None:
    settings, train = run.recipe.vocabulary, run.seen["train"]
    answers = common_answers(train.samples, settings.min_answer_count, settings.max_answers)
    words = common_words(train, answers, settings.min_word_count)
    norm = float(_word_embeddings(run).norm(dim=-1).mean())
    path.write_text(json.dumps({"answers": answers, "words": words, "norm": norm}), encoding="utf-8")


def build_pretraining(run: Run) -> PretrainingQFormer:
    """The Q-Former with its heads, from random weights; run.vocabulary is known."""
    vocabulary, embeddings = run.vocabulary, _word_embeddings(run)
    tokens = [run.tokenizer.encode(f" {word}").ids for word in vocabulary["words"]]
    vectors = torch.stack([F.normalize(embeddings[ids].mean(0), dim=0) for ids in tokens])
    torch.manual_seed(run.recipe.pretraining.seed)
    answers = run.texts.sentence(vocabulary["answers"])
    return PretrainingQFormer(run.recipe.qformer, answers, vectors, vocabulary["norm"])


def _word_embeddings(run: Run) -> torch.Tensor:
    """(V, E) of the run's language model."""
    model = load_language_model(str(run.folder / "language-model"))
    embeddings: torch.Tensor = model.get_input_embeddings().weight.detach().float()
    return embeddings


def build_model(run: Run, dtype: torch.dtype) -> VisionLanguageModel:
    """The model of stage `language` before that stage: fresh LoRA, and a connector pretrained or fresh.

    Args:
        run: the stages before are done.
        dtype: of the language model's own, frozen weights; all that is trained is float32.

    Raises:
        CheckpointError: if a pretrained part cannot be loaded.
        ConfigError: if the dimensions of two parts do not fit.
    """
    recipe, settings = run.recipe, run.recipe.language
    torch.manual_seed(settings.seed)
    language_model = load_language_model(str(run.folder / "language-model"))
    size = language_model.get_input_embeddings().weight.shape[1]
    connector, projection, head = _visual_side(run, size)
    global_local = None
    if settings.global_local:
        per_frame = connector.tokens_per_frame or 0
        global_local = GlobalLocal(size, settings.num_frames, per_frame, settings.global_local)
    if recipe.ends_with == "bundle":
        round_for_int4(language_model)
    language_model.to(dtype).requires_grad_(False)
    if settings.lora_rank:
        rank, alpha, targets = settings.lora_rank, settings.lora_alpha, settings.lora_targets
        language_model = add_lora(language_model, rank, alpha, targets)
    return VisionLanguageModel(
        connector, projection, head, language_model, global_local=global_local, hint=settings.hint
    )


def load_heads(run: Run) -> DualEncoderHeads:
    """The trained heads of the dual encoder."""
    heads = DualEncoderHeads(run.store.grid_shape[1], run.store.pooled_size, run.texts.size)
    load_best(heads, run.folder / "dual-encoder")
    return heads.eval()


def build_frame_vectors(run: Run) -> FrameVectors | None:
    """What CLIP-Cut chooses training frames by; None where the recipe does not have it choose.

    Raises:
        ConfigError: if the recipe's towers have no common space and no dual encoder was trained.
    """
    if run.recipe.language.frame_choice != "clip-cut":
        return None
    if run.recipe.compares_by_tower:
        return PooledVectors(run.store, run.tower_texts)
    return HeadVectors(load_heads(run), run.store, run.texts)


def load_trained(run: Run) -> VisionLanguageModel:
    """The trained model in evaluation mode, LoRA not merged.

    Raises:
        CheckpointError: if stage `language` left no weights, or they are of another recipe.
    """
    model = build_model(run, torch.float32)
    load_trained_weights(model, run.folder / "language" / "best.safetensors")
    return model.eval()


def merge_lora(model: VisionLanguageModel) -> VisionLanguageModel:
    """The same model with LoRA added to the language model's own weights."""
    if hasattr(model.language_model, "merge_and_unload"):
        model.language_model = model.language_model.merge_and_unload()
    return model


def _visual_side(run: Run, size: int) -> tuple[Any, LanguageProjection | nn.Linear, AnswerHead | None]:
    """Connector, projection into a language model of width `size`, and answer head."""
    recipe, norm = run.recipe, run.vocabulary["norm"]
    has_head = bool(recipe.language.answer_weight)
    if recipe.pretraining.steps and recipe.language.vision != "pooled":
        words = torch.zeros(len(run.vocabulary["words"]), size)
        answers = run.texts.sentence(run.vocabulary["answers"])
        pretrained = PretrainingQFormer(recipe.qformer, answers, words, norm)
        load_best(pretrained, run.folder / "qformer")
        head = pretrained.answer_head if has_head else None
        return pretrained.qformer, pretrained.language_projection, head
    connector = _build_connector(run)
    width = connector.hidden_size
    head = AnswerHead(width, run.texts.sentence(run.vocabulary["answers"])) if has_head else None
    if recipe.connector.projection == "linear":
        return connector, nn.Linear(width, size), head
    return connector, LanguageProjection(width, size, norm), head


def _build_connector(run: Run) -> Any:
    recipe, settings = run.recipe, run.recipe.language
    kind, source = recipe.connector.kind, recipe.connector.source
    if settings.vision == "pooled":
        return PooledFrames(recipe.qformer.model_copy(update={"num_query_tokens": settings.num_frames}))
    if kind == "qformer":
        return QFormer(recipe.qformer)
    cells, channels = run.store.grid_shape
    if kind == "mlp":
        return MLPConnector(
            channels,
            cells,
            num_frames=settings.num_frames,
            tokens_per_frame=recipe.connector.tokens_per_frame,
            hidden_size=recipe.qformer.hidden_size,
        )
    return load_pretrained_qformer(kind, source or "", grid_channels=channels, num_frames=settings.num_frames)
