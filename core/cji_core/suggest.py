"""Suggestions where a name is refused: the known name that a mistyped one is close to.

Names only: of columns, parameters, members of a configuration, verbs. Nothing here may be called with a value of a
record.
"""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Final

_MOST_CHARACTERS: Final = 64
"""Longer names are not compared: the time for two grows with the product of their lengths."""
_MOST_KNOWN: Final = 1000


def close_to(name: str, known: Iterable[str]) -> str | None:
    """The known name that is most like this one, upper or lower case alike; None if none is like it."""
    if len(name) > _MOST_CHARACTERS:
        return None
    names = {each.casefold(): each for each, _ in zip(known, range(_MOST_KNOWN), strict=False) if each != name}
    found = get_close_matches(name.casefold(), names, n=1)
    return names[found[0]] if found else None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The name with a suggestion, as it stands in a refusal: `DBO (did you mean DOB?)`; alone if there is none."""
    found = close_to(name, known)
    return name if found is None else f"{name} (did you mean {found}?)"


def listed(names: Iterable[str], known: Iterable[str]) -> str:
    """Refused names in order, each with its suggestion."""
    candidates = tuple(known)
    return ", ".join(did_you_mean(name, candidates) for name in sorted(names))
