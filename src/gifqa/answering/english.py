"""Does a question look English? A cheap guess by letters and common words; the doubtful ones pass."""

import re
import unicodedata

_WORD = re.compile(r"[^\W\d_]+")
ENGLISH = frozenset(
    _WORD.findall(
        "a an the this that these those it its he she they his her their there and or of in on at to from "
        "with by for what who whom whose which where when why how is are was were be been being do does "
        "did has have had can could will would any some all not no if one two most more first last before "
        "after you your "
    )
)
"""Words that nearly every English question of some length has at least one of."""
FOREIGN = frozenset(
    _WORD.findall(
        # German
        "der das dem ein eine einen einem und oder auf ist sind wer wie wo wen wem warum wann welche "
        "welcher welches wieviele viele macht machen tut gibt nicht kein keine sie er es ich du dieser "
        "diese dieses zu mit von bei katze hund "
        # French
        "le la les un une des de est sont que qui quoi quel quelle quels quelles où ou combien pourquoi "
        "quand fait dans sur avec ce cette ces il elle ils elles et au aux qu y "
        # Spanish, Portuguese, Italian
        "el los las una unos del qué quién quien cuál cuántos cuantos cuántas cuantas dónde donde cómo "
        "como por está esta están estan hay haciendo hace hacen con su se lo o um uma da dos quem qual "
        "quantos quantas onde estão fazendo faz é são em com il gli di della che chi cosa dove quanti "
        "quante quale perché è sono sta stanno fa fanno facendo nel nella dov há "
        # Dutch, Danish, Norwegian, Swedish
        "het een wat wie waar hoe hoeveel waarom welke zijn doet doen niet aan deze dit dat hva hvad hvem "
        "hvor vad vem gjør gör är och og ett det på laver "
        # Polish, Czech, Romanian, Hungarian, Finnish, Turkish, Indonesian
        "co kto gdzie jest jaki jaka jakie ile czy robi się kdo kde je dělá ce este cine unde mit csinál "
        "egy ez hol mitä missä kuka tekee ne kim nerede kaç bir yapıyor apa siapa mana yang sedang ini "
        "itu berapa "
    )
)
"""Words that other languages' questions are full of, and English ones are not."""
EITHER = frozenset(_WORD.findall("was die war hat den son come font comment pour per man "))
"""English words that are as common in another language with another meaning."""
_LONG = 6
"""With fewer words, none of them in `ENGLISH`, a text may still be English: "dog catching frisbee"."""


def looks_english(question: str) -> bool:
    """Whether the question could be English.

    It says no to letters of other scripts, to more foreign words than English ones, at least two or all, and
    to six words or more without one common English word. It does not tell "Chat ?" from an English word.
    """
    letters = [char for char in question if char.isalpha()]
    if 2 * sum(not unicodedata.name(char, "").startswith("LATIN") for char in letters) > len(letters):
        return False
    words = _WORD.findall(unicodedata.normalize("NFC", question).casefold())
    distinct = set(words)
    foreign = distinct & FOREIGN
    english = (distinct & ENGLISH) - EITHER
    if foreign and not english:
        foreign |= distinct & EITHER
    if len(foreign) > len(english) and (len(foreign) > 1 or foreign == distinct):
        return False
    return len(words) < _LONG or bool(distinct & ENGLISH)
