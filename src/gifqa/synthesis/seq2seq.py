"""Questions by an answer-aware sequence-to-sequence model, as the original project made them, but batched.

The prompt is the original's: `answer: horse context: a man is riding a horse`. Any T5-like checkpoint that
was trained on it serves, such as those of the `lmqg` and `valhalla` families.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gifqa.errors import CheckpointError
from gifqa.extras import require
from gifqa.synthesis.base import Draft, draft_of
from gifqa.synthesis.context import ParsedCaption
from gifqa.synthesis.lm import asked_candidates, one_line, tidy_question

_BATCH = 64
_MAX_NEW_TOKENS = 40


@dataclass(frozen=True)
class Seq2SeqGenerator:
    """Asks for each candidate with `answer: ... context: ...`."""

    name: str
    """The name in the records."""
    model: Any = field(repr=False)
    """The `transformers` model."""
    tokenizer: Any = field(repr=False)
    """Its tokenizer."""
    batch_size: int = _BATCH
    """Prompts at once; 1 is the original's way."""

    @classmethod
    def load(cls, source: str) -> "Seq2SeqGenerator":
        """From a Hugging Face id or folder.

        Raises:
            MissingExtra: if transformers is not installed.
            CheckpointError: if it cannot load the model.
        """
        transformers = require("transformers", "hf")
        try:
            tokenizer = transformers.AutoTokenizer.from_pretrained(source)
            model = transformers.AutoModelForSeq2SeqLM.from_pretrained(source)
        except (OSError, ValueError, KeyError, ImportError) as error:
            raise CheckpointError(
                f"{source} cannot be loaded as a sequence-to-sequence model ({one_line(error)}); a "
                "Hugging Face id or its folder is needed. Check the name given with --model."
            ) from error
        return cls(f"t5:{Path(source).name}", model.eval().requires_grad_(False), tokenizer)

    def drafts(self, captions: Sequence[ParsedCaption], seed: int) -> list[list[Draft]]:
        """The questions of each caption; see `QuestionGenerator`. Greedy, so the seed is not used."""
        del seed
        asked = [(index, c) for index, caption in enumerate(captions) for c in asked_candidates(caption)]
        prompts = [f"answer: {c.answer} context: {captions[index].text}" for index, c in asked]
        found: list[list[Draft]] = [[] for _ in captions]
        for (index, candidate), reply in zip(asked, self.write(prompts), strict=True):
            question = tidy_question(reply.removeprefix("question:"))
            if question:
                found[index].append(draft_of(candidate, question, candidate.role))
        return found

    def write(self, prompts: Sequence[str]) -> list[str]:
        """What the model writes for each prompt; prompts of like length share a batch."""
        texts: dict[int, str] = {}
        order = sorted(range(len(prompts)), key=lambda i: (len(prompts[i]), i))
        for start in range(0, len(prompts), self.batch_size):
            part = order[start : start + self.batch_size]
            batch = self.tokenizer(
                [prompts[i] for i in part], return_tensors="pt", padding=True, truncation=True, max_length=512
            )
            output = self.model.generate(
                input_ids=batch["input_ids"],
                attention_mask=batch["attention_mask"],
                max_new_tokens=_MAX_NEW_TOKENS,
                do_sample=False,
            )
            texts |= dict(
                zip(part, self.tokenizer.batch_decode(output, skip_special_tokens=True), strict=True)
            )
        return [texts[i] for i in range(len(prompts))]
