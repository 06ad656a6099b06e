"""From settings to generators and judges, each made once a process."""

from functools import lru_cache

from gifqa.synthesis.base import QuestionGenerator
from gifqa.synthesis.config import SynthesisConfig
from gifqa.synthesis.filters import Judge
from gifqa.synthesis.rules import RuleGenerator


@lru_cache(maxsize=4)
def make_generator(config: SynthesisConfig) -> QuestionGenerator:
    """The generator that the settings name.

    Raises:
        MissingExtra: if it needs a package that is not installed.
        CheckpointError: if its model cannot be loaded or reached.
    """
    if config.generator == "rules":
        return RuleGenerator(config.style)
    if config.generator == "remote":
        from gifqa.synthesis.remote import make_remote_generator

        return make_remote_generator(config)
    if config.generator == "t5":
        from gifqa.synthesis.seq2seq import Seq2SeqGenerator

        return Seq2SeqGenerator.load(str(config.model))
    from gifqa.synthesis.lm import LITE, LanguageModelGenerator

    return LanguageModelGenerator.load(config.model or LITE)


@lru_cache(maxsize=4)
def make_judge(config: SynthesisConfig) -> Judge:
    """The language model's part in the filters; an empty judge when the settings ask for none."""
    if config.judge is None:
        return Judge()
    from gifqa.synthesis.lm import load_judge

    return load_judge(config.judge)
