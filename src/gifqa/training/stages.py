"""The stages of training, each from what earlier ones left in the run's folder.

vision/          fit the reduction of EfficientNet-Lite2, export the tower
features/        the vision tower's grids of every photo and clip
texts/           the text tower's states of every caption, question and answer
dual-encoder/    the two heads of the dual encoder, by contrast
language-model/  the language model, its vocabulary cut
qformer/         the Q-Former without the language model
language/        connector, projection and LoRA with the language model
"""

import random
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from gifqa.errors import ConfigError, RecordError
from gifqa.model.dual_encoder import DualEncoderHeads
from gifqa.model.language import save_cut_model
from gifqa.model.precision import compute_dtype
from gifqa.model.text import load_text_tower
from gifqa.model.vision import load_vision_tower
from gifqa.retrieval.embedder import HuggingFaceEncoder
from gifqa.training.building import (
    build_frame_vectors,
    build_model,
    build_pretraining,
    load_heads,
    write_vocabulary,
)
from gifqa.training.data.batches import draw_validation
from gifqa.training.data.features import extract, list_pictures
from gifqa.training.data.frame_encoders import FrameEncoder, OnnxTower
from gifqa.training.data.samples import Sample
from gifqa.training.data.statements import StatementGroup, encode_statements, statement_groups
from gifqa.training.data.store import TextStore
from gifqa.training.dual_encoder import CaptionedPicture, DualEncoderStage, Statements
from gifqa.training.language import LanguageData, LanguageStage
from gifqa.training.loop.checkpoints import save_weights
from gifqa.training.loop.distribution import Processes
from gifqa.training.qformer import QFormerStage
from gifqa.training.recipe_checks import EFFICIENTNET
from gifqa.training.run_state import Figures, Run
from gifqa.training.starting import known_answers
from gifqa.training.towers import TorchTower, fit_tower, save_tower, texts_of

NUM_REFERENCES = 512
"""Training photos that how well a statement fits is compared with."""


def fit_vision(run: Run) -> Figures:
    """Stage `vision`."""
    settings, data, train = run.recipe.vision, run.dataset, run.dataset.annotations["train"]
    trained_on = train.captions.keys() | {sample.picture for sample in train.samples}
    photos = [path for name, path in data.photos.items() if name in trained_on]
    clips = [path for name, path in data.clips.items() if name in trained_on]
    tower = load_vision_tower(reduced_channels=settings.reduced_channels)
    kept = fit_tower(tower, photos or clips, settings.sample_photos, settings.seed)
    save_tower(tower, run.folder / "vision")
    return {"kept_variance": round(kept, 4), "channels": tower.channels}


def extract_features(run: Run) -> Figures:
    """Stage `features`; its figures list what is missing or could not be decoded."""
    tower = open_tower(run)
    check_grid(run, tower)
    pictures = list_pictures(run.dataset.photos, run.dataset.clips)
    index = extract(pictures, tower, run.folder / "features")
    return {"rows": index["done"], "pictures": len(index["items"]), **run.dataset.skipped(index["failed"])}


def open_tower(run: Run) -> FrameEncoder:
    """The recipe's vision tower: what stage `vision` exported, or a model of Hugging Face."""
    if run.recipe.vision.tower != EFFICIENTNET:
        return TorchTower(run.recipe.vision.tower)
    channels = run.recipe.vision.channels
    return OnnxTower(run.folder / "vision" / "tower.onnx", channels, threads=run.threads)


def check_grid(run: Run, tower: FrameEncoder) -> None:
    """Compare the tower's cells with those that the Q-Former is made for.

    Raises:
        ConfigError: if they differ.
    """
    shape = run.recipe.qformer
    if run.recipe.connector.kind == "qformer" and (shape.grid_size, shape.grid_channels) != tower.grid_shape:
        cells, channels = tower.grid_shape
        raise ConfigError(
            f"qformer.grid_size and grid_channels are {shape.grid_size} and {shape.grid_channels}, but "
            f"{run.recipe.vision.tower} gives {cells} cells of {channels} channels. Correct both."
        )


def encode_texts(run: Run) -> Figures:
    """Stage `texts`."""
    folder, figures = run.folder / "texts", {}
    if run.recipe.reads_text_states:
        tower, tokenizer = load_text_tower(run.recipe.text.tower)
        texts = texts_of(run.annotations.values()) | known_answers(run)
        TextStore.build(tower, tokenizer, texts, folder / "texts.pt")
        groups = [group for split in ("train", "val") for group in _statement_groups(run, split)]
        if groups:
            encode_statements(tower, tokenizer, groups, folder / "statements.pt")
        figures = {"texts": len(texts), "statement groups": len(groups)}
    if run.recipe.compares_by_tower:
        named = sorted(texts_of(run.annotations.values()))
        vectors = HuggingFaceEncoder(run.recipe.vision.tower).encode_texts(named)
        TextStore.of_sentences(named, torch.from_numpy(vectors)).save(folder / "tower_texts.pt")
        figures["texts"] = len(named)
    return figures


def train_dual_encoder(run: Run) -> Figures:
    """Stage `dual-encoder`."""
    settings = run.recipe.dual_encoder
    pictures = {
        split: [CaptionedPicture(name, captions) for name, captions in run.seen[split].captions.items()]
        for split in ("train", "val")
    }
    validation = [
        picture
        for picture in pictures["val"]
        if picture.name.startswith(settings.validation_prefix) and not run.store.is_clip(picture.name)
    ]
    torch.manual_seed(settings.seed)
    heads = DualEncoderHeads(
        run.store.grid_shape[1], run.store.pooled_size, run.texts.size, dropout=settings.dropout
    )
    stage = DualEncoderStage(
        heads, run.store, run.texts, pictures["train"], settings, _statements(run, "train")
    )
    figures = stage.run(run.folder / "dual-encoder", validation, _statements(run, "val"))
    if Processes().is_main:
        references = draw_references(run, load_heads(run))
        save_weights(run.folder / "dual-encoder" / "references.safetensors", {"references": references})
    return figures


@torch.no_grad()
def draw_references(run: Run, heads: DualEncoderHeads) -> Tensor:
    """Dual-encoder vectors of some training photos, or of clips where there are no photos, (512, D)."""
    named = sorted(run.seen["train"].captions)
    photos = [name for name in named if not run.store.is_clip(name)] or named
    chosen = random.Random(0).sample(photos, min(NUM_REFERENCES, len(photos)))
    rows = [run.store.rows(name)[0] for name in chosen]
    return heads.encode_frames(run.store.grid(rows).float(), run.store.pooled(rows))


def _statement_groups(run: Run, split: str) -> list[StatementGroup]:
    """Of the dual encoder's recipe; a tenth as many for validation."""
    settings = run.recipe.dual_encoder
    count = settings.statements if split == "train" else settings.statements // 10
    return statement_groups(run.annotations[split], count, settings.seed)


def _statements(run: Run, split: str) -> Statements | None:
    """Those of pictures that have features; None if the recipe wants none."""
    if not run.recipe.dual_encoder.statements:
        return None
    groups = [group for group in _statement_groups(run, split) if group.picture in run.store.items]
    return Statements(groups, TextStore.load(run.folder / "texts" / "statements.pt"))


def cut_language_model(run: Run) -> Figures:
    """Stage `language-model`."""
    settings = run.recipe.language_model
    source = run.inputs.language_model or settings.source
    save_cut_model(source, run.folder / "language-model", settings.vocabulary_size)
    return {"source": Path(source).name}


def pretrain_qformer(run: Run) -> Figures:
    """Stage `qformer`."""
    settings = run.recipe.pretraining
    write_vocabulary(run)
    qformer = build_pretraining(run)
    stage = QFormerStage(qformer, run.store, run.texts, run.targets, settings)
    return stage.run(run.folder / "qformer", validation_samples(run, "qformer"))


def train_language(run: Run) -> Figures:
    """Stage `language`."""
    write_vocabulary(run)
    settings = run.recipe.language
    model = build_model(run, compute_dtype(Processes().device.type, wanted=settings.precision == "bf16"))
    data = LanguageData(run.store, run.texts, run.targets, build_frame_vectors(run), run.inputs.media)
    stage = LanguageStage(model, run.tokenizer, data, settings)
    return stage.run(run.folder / "language", validation_samples(run, "language"))


def validation_samples(run: Run, stage: str) -> list[Sample]:
    """What a stage is judged by.

    Raises:
        RecordError: if the data have none of it.
    """
    settings = run.recipe.validation
    counts = settings.qformer if stage == "qformer" else settings.language
    samples = draw_validation(run.seen["val"], counts, settings.seed)
    if not samples:
        known = ", ".join(sorted({"captions", *run.seen["val"].by_source()}))
        raise RecordError(
            f"validation.{stage} asks for {', '.join(counts)}, and the data have none of it in their split "
            f'"val"; they have {known}. Name some of these in the recipe.'
        )
    return samples


TRAINING_STAGES: dict[str, Callable[[Run], Figures]] = {
    "vision": fit_vision,
    "features": extract_features,
    "texts": encode_texts,
    "dual-encoder": train_dual_encoder,
    "language-model": cut_language_model,
    "qformer": pretrain_qformer,
    "language": train_language,
}
