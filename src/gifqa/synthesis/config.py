"""Settings of a synthesis run: every default stands here and nowhere else."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from gifqa.synthesis.parsing import DEFAULT_PIPELINE

Generator = Literal["rules", "lm", "t5", "remote"]
RoundTrip = Literal["rules", "lm", "off"]


class SynthesisConfig(BaseModel):
    """What is asked, of which captions, and what is kept."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    generator: Generator = "rules"
    """Who words the questions."""
    model: str | None = None
    """Hugging Face id or folder, .gguf file, `http(s)://host/v1#model`; for lm, None is the shipped one."""
    style: Literal["short", "full", "both"] = "short"
    """Rules only: short questions, or the caption with the answer fronted as in TGIF-QA."""
    yes_no: bool = True
    """Add pairs of a yes and a no question."""
    temporal: bool = False
    """Add questions of repetition and order, with distractors."""
    summary: bool = False
    """Add one question for the whole caption, such as "What is happening in the GIF?"."""
    triples: bool = False
    """Add questions made from knowledge triples."""
    per_caption: int = Field(default=0, ge=0)
    """Keep at most so many pairs a caption, of as many answer types as possible; 0 keeps all."""
    seed: int = 0
    """Draws swaps, wordings and distractors."""
    spacy: str = DEFAULT_PIPELINE
    """spaCy pipeline: a package or a folder."""
    round_trip: RoundTrip = "rules"
    """Who must find the answer again, given caption and question."""
    judge: str | None = None
    """Causal language model for `round_trip="lm"` and `max_perplexity`."""
    max_perplexity: float | None = Field(default=None, gt=1)
    """Reject questions that the judge finds less likely than this."""
    one_answer: bool = True
    """Keep one answer to a question about a GIF: the one that most captions give."""
    max_caption_words: int = Field(default=80, ge=2)
    """Longer captions are rejected."""
    max_answer_words: int = Field(default=10, ge=1)
    """Longer answers are rejected, summaries aside."""
    unsafe_words: tuple[str, ...] | None = None
    """Words that no pair may have; None takes the list of the package."""
    fractions: tuple[float, float, float] = (0.9, 0.05, 0.05)
    """Shares of train, val and test for GIFs without an official split."""
    max_cost: float | None = Field(default=None, gt=0)
    """Remote only: stop asking when the replies have cost so much."""
    price_per_million_tokens: float = Field(default=0.0, ge=0)
    """Remote only: what a million tokens costs, prompt and reply alike."""

    @field_validator("fractions")
    @classmethod
    def _sum_to_one(cls, fractions: tuple[float, float, float]) -> tuple[float, float, float]:
        if min(fractions) < 0 or abs(sum(fractions) - 1) > 1e-6:
            raise ValueError(
                f"the fractions are {fractions}; they must be >= 0 and sum to 1. Correct --fractions."
            )
        return fractions

    @model_validator(mode="after")
    def _has_what_it_needs(self) -> "SynthesisConfig":
        if self.generator in ("t5", "remote") and self.model is None:
            raise ValueError(f"--generator {self.generator} needs a model. Name one with --model.")
        if (self.round_trip == "lm" or self.max_perplexity is not None) and self.judge is None:
            raise ValueError(
                "--round-trip lm and --max-perplexity need a language model. Name one with --judge."
            )
        if self.max_cost is not None and self.price_per_million_tokens == 0:
            raise ValueError("--max-cost needs a price. Give --price-per-million-tokens.")
        return self
