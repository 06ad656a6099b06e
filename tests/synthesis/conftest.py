"""One spaCy for all tests of the room, and captions parsed as the shards do it."""

import pytest

pytest.importorskip("spacy")


@pytest.fixture(scope="session")
def lexicon():
    from gifqa.synthesis.lexicon import load_lexicon

    return load_lexicon()


@pytest.fixture(scope="session")
def parse_gif(lexicon):
    """Captions of one GIF -> its parsed captions, which know of each other."""
    from gifqa.synthesis.context import ParsedCaption, context_of
    from gifqa.synthesis.parsing import DEFAULT_PIPELINE
    from gifqa.synthesis.repair import parse_captions

    def parse(*texts, gif="a.gif"):
        docs = [doc for doc, _ in parse_captions(list(texts), lexicon, DEFAULT_PIPELINE)]
        context = context_of(docs, lexicon)
        return [
            ParsedCaption(gif, text, doc, context, lexicon) for text, doc in zip(texts, docs, strict=True)
        ]

    return parse


@pytest.fixture(scope="session")
def ask(parse_gif):
    """A caption -> {question: answer} by the rules, of one style."""
    from gifqa.synthesis.rules import RuleGenerator

    def questions(*texts, style="short", seed=0):
        first = parse_gif(*texts)[0]
        return {draft.question: draft.answer for draft in RuleGenerator(style).drafts([first], seed)[0]}

    return questions
