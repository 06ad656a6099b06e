"""Which questions are warned about: no English one that the project knows, and nearly all others."""

import re
from pathlib import Path

import pytest

from gifqa.answering.english import EITHER, ENGLISH, FOREIGN, looks_english

ROOT = Path(__file__).parents[2]
WRITTEN = [
    *(ROOT / "src").rglob("*.py"),
    *(ROOT / "docs").glob("*.md"),
    ROOT / "README.md",
    ROOT / "MODEL_CARD.md",
]
QUESTION = re.compile(r'"([^"\n{}\\]{1,200}\?)"')


def test_every_question_that_stands_in_the_project_is_english():
    asked = {question for path in WRITTEN for question in QUESTION.findall(path.read_text(encoding="utf-8"))}

    assert len(asked) > 30
    assert not [question for question in asked if not looks_english(question)]


@pytest.mark.parametrize(
    "question",
    """Colour?|Cat or dog?|cat or dog|Who's there|12 + 3|Why?|Ok?|Hat?|Any taxis?|OS?|Was it?|Was the car red?
    Did the man die?|Is a die on the table?|What font is it?|Is it a pas de deux?|Who won the Tour de France?
    What does 'das Auto' mean?|Das Boot?|El Greco?|Eau de toilette?|La La Land?|Le Mans or Indy?|Café?
    Is El Capitan in a park?|Is that a piñata?|Is the van red?|Do cats come here?
    dog playing frisbee|man riding brown horse|How many men wear hats?|What is the cat doing?""".replace(
        "\n    ", "|"
    ).split("|"),
)
def test_short_and_odd_english_is_not_warned_about(question):
    assert looks_english(question)


@pytest.mark.parametrize(
    "question",
    """Was ist das?|Was macht die Katze?|Wie viele Hunde?|Welche Farbe hat das Auto?|Wo ist er?|Warum?
    Was ist in dem Bild?|Que fait le chat ?|Qui est-ce ?|Qu'est-ce que c'est ?|Où est le chien ?
    ¿Qué hace el gato?|¿Qué está haciendo el gato?|Hay un perro?|O que é isso?|Cosa fa il gatto?
    Dov'è il cane?|Wat is dit?|Wat doet de kat?|Is het een kat?|Hva er det?|Vad gör katten?|Apa itu?
    猫は何をしていますか|Что делает кот?|Τι κάνει η γάτα;|Paka huyu anafanya nini hapa nyumbani""".replace(
        "\n    ", "|"
    ).split("|"),
)
def test_other_languages_are(question):
    """\"Was ist das?\" has an English word, and three others were too few to tell."""
    assert not looks_english(question)


def test_no_word_is_in_two_lists():
    assert not ENGLISH & FOREIGN
    assert not FOREIGN & EITHER
