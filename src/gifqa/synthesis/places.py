"""Which phrases of a caption name a place: "on a beach", not "in a shirt", "at the camera", "in unison"."""

from gifqa.synthesis.clauses import Clause, object_of, prepositions_of
from gifqa.synthesis.lexicon import Lexicon
from gifqa.synthesis.nouns import (
    Token,
    direct_object,
    is_noun,
    is_slip,
    lemma,
    preposition_object,
    through_quantity,
)

_PREPOSITIONS = frozenset(
    {
        "in", "on", "at", "near", "inside", "outside", "under", "beneath", "behind", "beside", "by", "along",
        "next", "over", "above", "among", "between", "across", "beyond", "against", "atop", "upon",
        "underneath",
    }
)  # fmt: skip
_NEEDS_PLACE_NOUN = ("on", "in", "at", "by", "over", "along", "across", "against")
_NEVER_WITH_PERSONS = ("in", "on", "at", "over", "by", "against", "between")


def is_place(prep: Token, lexicon: Lexicon) -> bool:
    """Whether the phrase of this preposition says where something is."""
    if prep.lower_ not in _PREPOSITIONS:
        return False
    noun = preposition_object(prep)
    if noun is None or not is_noun(noun) or is_slip(noun, lexicon) or not noun.is_alpha:
        return False
    word = lemma(through_quantity(noun, lexicon))
    under = direct_object(prep)
    framed = under is not None and under.i != noun.i
    if word in lexicon.colours or word in lexicon.words("nouns", "body"):
        return False
    if framed:
        return prep.lower_ in ("in", "on", "at", "near", "inside", "by")
    if lexicon.is_person(word) and prep.lower_ in _NEVER_WITH_PERSONS:
        return False
    return _names_place(prep.lower_, word, lexicon)


def _names_place(preposition: str, word: str, lexicon: Lexicon) -> bool:
    if word in lexicon.words("nouns", "not_places") or word in lexicon.words("nouns", "empty"):
        return preposition == "in" and word in ("background", "foreground", "air", "area")
    if word in lexicon.clothing:
        return False
    if preposition in _NEEDS_PLACE_NOUN:
        furniture = preposition == "on" and lexicon.class_of.get(word) == "furniture"
        return word in lexicon.place_nouns or furniture
    return True


def place_prepositions(clause: Clause, lexicon: Lexicon) -> list[Token]:
    """Prepositions that may place the clause's subject: on the verb, on the subject, on the verb's nouns.

    On the verb's nouns only where a whole scene follows: "riding a bike on the beach" places the rider too.
    """
    found = list(prepositions_of(clause.verb))
    nouns = [object_of(clause.verb), *(preposition_object(prep) for prep in found)]
    for noun in nouns:
        for prep in noun.children if noun is not None else ():
            if prep.dep_ == "prep":
                inner = preposition_object(prep)
                if inner is not None and lemma(inner) in lexicon.open_scenes:
                    found.append(prep)
    if clause.verb.dep_ not in ("acl", "relcl"):
        found += [child for subject in clause.subjects for child in subject.children if child.dep_ == "prep"]
    return [prep for prep in found if prep.dep_ != "agent"]
