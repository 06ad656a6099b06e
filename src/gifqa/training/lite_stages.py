"""The stages of the lite recipe, each from what earlier ones left in the run's folder.

vision/tower.onnx  ->  features/  ->  texts/texts.pt  ->  dual-encoder/best.safetensors
language-model/    ->  qformer/best.safetensors, vocab.json  ->  language/best.safetensors
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional as F

from gifqa.extras import require
from gifqa.model.dual_encoder import DualEncoderHeads
from gifqa.model.language import add_lora, load_language_model, round_for_int4, save_cut_model
from gifqa.model.pooled_frames import PooledFrames
from gifqa.model.qformer_heads import AnswerHead
from gifqa.model.text import load_text_tower
from gifqa.model.vision import load_vision_tower
from gifqa.model.vision_language_model import VisionLanguageModel
from gifqa.training.batches import draw_validation
from gifqa.training.checkpoints import load_best, load_trained_weights
from gifqa.training.dual_encoder import CaptionedPicture, DualEncoderStage
from gifqa.training.features import extract, list_pictures
from gifqa.training.language import LanguageStage
from gifqa.training.qformer import PretrainingQFormer, QFormerStage
from gifqa.training.recipe import Recipe
from gifqa.training.run_folder import checksum, read_json
from gifqa.training.samples import Annotations, read_annotations, read_lines
from gifqa.training.store import FeatureStore, TextStore
from gifqa.training.targets import Targets, common_answers, common_words
from gifqa.training.towers import files_of, fit_tower, save_tower, texts_of

SPLITS = ("train", "val", "test")
Figures = dict[str, Any]


@dataclass(frozen=True)
class Inputs:
    """Where a run's data are; they are never part of a recipe."""

    data: Path
    """Folder with photos/captions.jsonl, photos/images/ and clips/clips.jsonl beside its clips."""
    pairs: tuple[Path, ...]
    """What `gifqa synthesize` made of the captions."""
    language_model: str | None = None
    """Folder or `.gguf` file of the recipe's language model; None takes the recipe's Hugging Face id."""

    @property
    def photos(self) -> Path:
        """The photos' annotations."""
        return self.data / "photos" / "captions.jsonl"

    @property
    def clips(self) -> Path:
        """The clips' annotations."""
        return self.data / "clips" / "clips.jsonl"

    def checksums(self) -> dict[str, str]:
        """Checksums of the annotation files; pictures are told by their names alone."""
        named = {"photos": self.photos, "clips": self.clips}
        named |= {f"pairs {number}": path for number, path in enumerate(self.pairs, start=1)}
        return {name: checksum(path) for name, path in named.items()}


class LiteRun:
    """One run: what its stages share, loaded when the first of them asks for it."""

    def __init__(self, recipe: Recipe, inputs: Inputs, folder: Path, *, threads: int) -> None:
        self.recipe, self.inputs, self.folder, self.threads = recipe, inputs, folder, threads

    @cached_property
    def annotations(self) -> dict[str, Annotations]:
        """By split, of all pictures."""
        inputs = self.inputs
        return {name: read_annotations(inputs.photos, inputs.clips, inputs.pairs, name) for name in SPLITS}

    @cached_property
    def store(self) -> FeatureStore:
        """The vision features."""
        return FeatureStore(self.folder / "features")

    @cached_property
    def texts(self) -> TextStore:
        """The text states."""
        return TextStore.load(self.folder / "texts" / "texts.pt")

    @cached_property
    def seen(self) -> dict[str, Annotations]:
        """By split, of the pictures that have features."""
        return {name: split.only(self.store.items.keys()) for name, split in self.annotations.items()}

    @cached_property
    def tokenizer(self) -> Any:
        """Of the language model."""
        path = self.folder / "language-model" / "tokenizer.json"
        return require("tokenizers", "train").Tokenizer.from_file(str(path))

    @cached_property
    def vocabulary(self) -> dict[str, Any]:
        """Known answers and words, and the mean length of the language model's word embeddings."""
        return read_json(self.folder / "qformer" / "vocab.json")

    @property
    def targets(self) -> Targets:
        """Of the training split."""
        return Targets(self.vocabulary["answers"], self.vocabulary["words"], self.seen["train"])


def fit_vision(run: LiteRun) -> Figures:
    """Stage `vision`."""
    settings = run.recipe.vision
    names = [
        line["image"]
        for line in read_lines(run.inputs.photos, ("image", "split"))
        if line["split"] == "train"
    ]
    tower = load_vision_tower(reduced_channels=settings.reduced_channels)
    photos = list(files_of(names, run.inputs.data / "photos" / "images").values())
    kept = fit_tower(tower, photos, settings.sample_photos, settings.seed)
    save_tower(tower, run.folder / "vision")
    return {"kept_variance": round(kept, 4), "channels": tower.channels}


def extract_features(run: LiteRun) -> Figures:
    """Stage `features`."""
    inputs = run.inputs
    photos = [line["image"] for line in read_lines(inputs.photos, ("image",))]
    clips = [line["clip"] for line in read_lines(inputs.clips, ("clip",))]
    pictures = list_pictures(
        files_of(photos, inputs.data / "photos" / "images"), files_of(clips, inputs.data / "clips")
    )
    channels = run.recipe.qformer.grid_channels
    tower = run.folder / "vision" / "tower.onnx"
    index = extract(pictures, tower, run.folder / "features", channels, threads=run.threads)
    return {"rows": index["done"], "pictures": len(index["items"]), "failed": index["failed"]}


def encode_texts(run: LiteRun) -> Figures:
    """Stage `texts`."""
    tower, tokenizer = load_text_tower(run.recipe.text.tower)
    texts = texts_of(run.annotations.values())
    TextStore.build(tower, tokenizer, texts, run.folder / "texts" / "texts.pt")
    return {"texts": len(texts)}


def train_dual_encoder(run: LiteRun) -> Figures:
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
    stage = DualEncoderStage(heads, run.store, run.texts, pictures["train"], settings)
    return stage.run(run.folder / "dual-encoder", validation)


def cut_language_model(run: LiteRun) -> Figures:
    """Stage `language-model`."""
    settings = run.recipe.language_model
    source = run.inputs.language_model or settings.source
    save_cut_model(source, run.folder / "language-model", settings.vocabulary_size)
    return {"source": Path(source).name}


def pretrain_qformer(run: LiteRun) -> Figures:
    """Stage `qformer`."""
    settings, train = run.recipe.vocabulary, run.seen["train"]
    answers = common_answers(train.samples, settings.min_answer_count, settings.max_answers)
    words = common_words(train, answers, settings.min_word_count)
    model = load_language_model(str(run.folder / "language-model"))
    embeddings = model.get_input_embeddings().weight.detach().float()
    norm = float(embeddings.norm(dim=-1).mean())
    tokens = [run.tokenizer.encode(f" {word}").ids for word in words]
    vectors = torch.stack([F.normalize(embeddings[ids].mean(0), dim=0) for ids in tokens])
    folder = run.folder / "qformer"
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = {"answers": answers, "words": words, "norm": norm}
    (folder / "vocab.json").write_text(json.dumps(vocabulary), encoding="utf-8")
    torch.manual_seed(run.recipe.pretraining.seed)
    qformer = PretrainingQFormer(run.recipe.qformer, run.texts.sentence(answers), vectors, norm)
    targets = Targets(answers, words, train)
    stage = QFormerStage(qformer, run.store, run.texts, targets, run.recipe.pretraining)
    validation = draw_validation(run.seen["val"], run.recipe.validation.qformer, run.recipe.validation.seed)
    return stage.run(folder, validation)


def build_answerer(run: LiteRun, dtype: torch.dtype) -> VisionLanguageModel:
    """The model of stage `language` before that stage: pretrained Q-Former and heads, fresh LoRA.

    For the baseline of the original's design `PooledFrames` take the Q-Former's place, and the heads are
    fresh as well.

    Args:
        run: its stage `qformer` is done.
        dtype: of the language model's own, frozen weights; all that is trained is float32.
    """
    recipe, vocabulary = run.recipe, run.vocabulary
    torch.manual_seed(recipe.language.seed)
    language_model = load_language_model(str(run.folder / "language-model"))
    words = torch.zeros(len(vocabulary["words"]), language_model.config.hidden_size)
    answers = run.texts.sentence(vocabulary["answers"])
    pretrained = PretrainingQFormer(recipe.qformer, answers, words, vocabulary["norm"])
    reader: Any = pretrained.qformer
    if recipe.language.vision == "pooled":
        places = recipe.language.num_frames
        reader = PooledFrames(recipe.qformer.model_copy(update={"num_query_tokens": places}))
        head = AnswerHead(recipe.qformer.hidden_size, answers)
    else:
        load_best(pretrained, run.folder / "qformer")
        head = pretrained.answer_head
    round_for_int4(language_model)
    lora = add_lora(language_model.to(dtype), recipe.language.lora_rank, recipe.language.lora_alpha)
    return VisionLanguageModel(reader, pretrained.language_projection, head, lora)


def train_language(run: LiteRun) -> Figures:
    """Stage `language`."""
    settings, validation = run.recipe.language, run.recipe.validation
    model = build_answerer(run, torch.bfloat16)
    stage = LanguageStage(model, run.tokenizer, run.store, run.texts, run.targets, settings)
    samples = draw_validation(run.seen["val"], validation.language, validation.seed)
    return stage.run(run.folder / "language", samples)


def load_trained(run: LiteRun) -> VisionLanguageModel:
    """The trained answerer in evaluation mode, LoRA merged into its language model."""
    model = build_answerer(run, torch.float32)
    load_trained_weights(model, run.folder / "language" / "best.safetensors")
    model.language_model = model.language_model.merge_and_unload()
    return model.eval()


TRAINING_STAGES: dict[str, Callable[[LiteRun], Figures]] = {
    "vision": fit_vision,
    "features": extract_features,
    "texts": encode_texts,
    "dual-encoder": train_dual_encoder,
    "language-model": cut_language_model,
    "qformer": pretrain_qformer,
    "language": train_language,
}
