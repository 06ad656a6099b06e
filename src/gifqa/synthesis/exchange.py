"""Yes/no questions by exchange: two GIFs lend each other what is true of one and false of the other.

    a.gif  a man rides a horse     Is the man riding a horse?  yes      Is the man sleeping?        no
    b.gif  a man sleeps            Is the man sleeping?        yes      Is the man riding a horse?  no

So each GIF has as many "yes" as "no", and so have the words of the questions: a reader who does not see the
GIF has nothing to go by. The questions of an exchange are kept or rejected together. A claim that no GIF of
the same split can answer with "no" is not asked.
"""

from collections.abc import Mapping, Sequence
from random import Random

from gifqa.synthesis.base import Draft
from gifqa.synthesis.claims import Claim, claims_of
from gifqa.synthesis.context import ParsedCaption

Exchange = tuple[Claim, Claim]
Asked = tuple[str, str]
"""GIF and question."""

_MAX_TRIES = 200
_RAREST = "object-swap"
"""Its turn comes first: "Is the man riding a horse?" may be asked for the horse or for the riding."""


def yes_no_drafts(
    captions: Sequence[ParsedCaption], splits: Mapping[str, str | None], seed: int
) -> list[list[tuple[int, Draft]]]:
    """For each caption its yes/no questions, "yes" and "no" in turns, each with the number of its exchange.

    Args:
        captions: captions of some GIFs, all that partners are sought among.
        splits: GIF to split; partners are of one split.
        seed: draws the partners.
    """
    places = {id(caption): place for place, caption in enumerate(captions)}
    found: list[list[tuple[int, Draft]]] = [[] for _ in captions]
    for number, (first, second) in enumerate(exchanges(captions, splits, seed)):
        for own, other in ((first, second), (second, first)):
            found[places[id(own.caption)]] += [(number, own.draft()), (number, own.draft(other))]
    return found


def exchanges(
    captions: Sequence[ParsedCaption], splits: Mapping[str, str | None], seed: int
) -> list[Exchange]:
    """Pairs of claims that two GIFs of one split exchange; each claim is in one of them at most."""
    pools: dict[tuple[str, str], dict[Asked, Claim]] = {}
    for caption in captions:
        for claim in claims_of(caption):
            pool = pools.setdefault((str(splits.get(caption.gif)), claim.rule), {})
            pool.setdefault(_asks(claim), claim)
    asked: set[Asked] = set()
    found: list[Exchange] = []
    for split, rule in sorted(pools, key=lambda key: (key[1] != _RAREST, key)):
        claims = list(pools[split, rule].values())
        Random(f"{seed}|yes/no|{split}|{rule}").shuffle(claims)
        found += _matched(claims, asked)
    return found


def _matched(pool: Sequence[Claim], asked: set[Asked]) -> list[Exchange]:
    """Pairs of one kind: first those whose questions are the same for both GIFs, then by wider frames."""
    found: list[Exchange] = []
    left = list(pool)
    for width in range(max((len(claim.frames) for claim in pool), default=0)):
        waiting: dict[str, list[Claim]] = {}
        for claim in left:
            if width >= len(claim.frames):
                continue
            others = waiting.setdefault(claim.frames[width], [])
            place = next(
                (i for i, other in enumerate(others[:_MAX_TRIES]) if _may_exchange(claim, other, asked)), None
            )
            if place is None:
                others.append(claim)
            else:
                other = others.pop(place)
                asked |= _all_asked(claim, other)
                found.append((other, claim))
        paired = {id(claim) for pair in found for claim in pair}
        left = [claim for claim in left if id(claim) not in paired]
    return found


def _may_exchange(first: Claim, second: Claim, asked: set[Asked]) -> bool:
    """Whether each claim is false of the other's GIF, and neither GIF was asked so already."""
    if first.meaning & second.open or second.meaning & first.open or first.caption.gif == second.caption.gif:
        return False
    return asked.isdisjoint(_all_asked(first, second))


def _all_asked(first: Claim, second: Claim) -> set[Asked]:
    return {_asks(first), _asks(first, second), _asks(second), _asks(second, first)}


def _asks(own: Claim, other: Claim | None = None) -> Asked:
    return own.caption.gif, own.draft(other).question.lower()
