"""What judges' replies say, in the forms that benchmarks ask for. None: nothing that can
be read, which is a failure of the judge and no rating."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence


def number(reply: str, low: float, high: float) -> float | None:
    """A number alone, or one in [[ ]], from low to high."""
    found = re.search(r"\[\[(\d+)\]\]", reply)
    try:
        value = float(found[1] if found else reply.strip())
    except ValueError:
        return None
    return value if low <= value <= high else None


def yes(reply: str) -> bool | None:
    """Whether it begins with yes; None where it begins with neither yes nor no."""
    found = re.match(r"\W*(yes|no)\b", reply, re.IGNORECASE)
    return found[1].lower() == "yes" if found else None


def majority(replies: Sequence[str]) -> bool | None:
    """Whether most say yes, and nothing else: a reply that is no plain yes counts against.
    None where no reply is readable."""
    words = [reply.strip().lower() for reply in replies]
    if all(yes(word) is None for word in words):
        return None
    return Counter(words).most_common(1)[0][0] == "yes"


def met(reply: str) -> bool | None:
    """`criteria_met` of the first JSON object in a reply."""
    start = reply.find("{")
    try:
        found, _ = json.JSONDecoder().raw_decode(reply[start:])
    except ValueError:
        return None
    value = found.get("criteria_met") if start >= 0 and isinstance(found, dict) else None
    return value if isinstance(value, bool) else None
