"""The vocabulary, and which combinations training never contains."""

from __future__ import annotations

from interaction.data.scenes.statements import STATEMENTS

NUMBERS = tuple(
    "zero one two three four five six seven eight nine ten eleven twelve thirteen"
    " fourteen fifteen sixteen seventeen eighteen nineteen twenty".split()
)
TENS = tuple("twenty thirty forty fifty sixty seventy eighty ninety".split())
COLOURS = tuple("red blue green yellow white pink".split())
NOUNS = tuple(  # far apart in sound
    "apple banana bicycle chocolate coffee doctor dragon elephant garden hammer island"
    " monkey mountain music paper pencil river rocket tiger window".split()
)
CUES = tuple("now go hello ready done".split())
ECHOED = NOUNS + COLOURS

RECALLS = (("never", "mind"), ("forget", "it"))  # an errand
CHECKING, SORRY = "checking", "sorry"  # said of an errand: begun, and failed
HUSHES = (("stop",), ("wait",), ("be", "quiet"))
_ASKING = tuple(
    "say repeat please what is plus minus color it do you see how many are there"
    " count to in seconds second".split()
)

AGENT_WORDS = NUMBERS + COLOURS + NOUNS + CUES
USER_WORDS = tuple(  # all that is ever heard, each once
    dict.fromkeys(
        NUMBERS[1:11]
        + COLOURS
        + NOUNS
        + CUES
        + _ASKING
        + tuple(word for said in HUSHES + STATEMENTS for word in said)
    )
)


def held_out_pair(first: int, second: int) -> bool:
    """One ordered pair of indices in ten; every index keeps most of its pairs."""
    return (3 * first + 9 * second + 1) % 10 == 0
