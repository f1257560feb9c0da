"""Free text without what fits a pattern of numbers, dates and addresses of persons.

Everything that fits becomes `[redacted]`, in one pass over the text: of overlapping finds the one that begins first
counts, and what takes its place is not looked at again. Patterns are RE2's, whose time is linear in the text.

No pattern finds a name in prose. Text that may hold names must be dropped, or read by somebody.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final, Literal

import pyarrow as pa
import pyarrow.compute as pc

from cji_operations.deidentify.outcome import Outcome

MARK: Final = "[redacted]"
_MONTH: Final = r"(?:JAN|FEB|MAR|APR|MAY|JUN|JUL|AUG|SEPT?|OCT|NOV|DEC)[A-Z]*\.?"
_WAY: Final = (
    "STREET|ST|AVENUE|AVE|ROAD|RD|BOULEVARD|BLVD|LANE|LN|DRIVE|DR|COURT|CT|PLACE|PL|WAY|HIGHWAY|HWY|TERRACE|TER"
)
Pattern = Literal["email", "address", "date", "phone", "number", "code"]
PATTERNS: Final[Mapping[Pattern, str]] = MappingProxyType(
    {
        "email": r"[A-Z0-9._%+-]+@[A-Z0-9-]+(?:\.[A-Z0-9-]+)+",
        "address": rf"\b[0-9]+[A-Z]?(?: +[NSEW]\.?)?(?: +[A-Z0-9'.]+){{1,4}} +(?:{_WAY})\b\.?",
        "date": (
            rf"\b(?:[0-9]{{1,4}}[/.-][0-9]{{1,2}}[/.-][0-9]{{1,4}}"
            rf"|{_MONTH} *[0-9]{{1,2}}(?:ST|ND|RD|TH)?,? *[0-9]{{2,4}}|[0-9]{{1,2}} *{_MONTH},? *[0-9]{{2,4}})\b"
        ),
        "phone": r"(?:\+?1[-. ]*)?\(?[0-9]{3}\)?[-. ]*[0-9]{3}[-. ]*[0-9]{4}\b",
        "number": r"(?:\b[A-Z]{1,3}[-#]?)?\b[0-9X](?:[- ]?[0-9X]){5,}[A-Z0-9]*",
        "code": r"\b(?:[A-Z]+[0-9]|[0-9]+[A-Z])[A-Z0-9]{3,}\b",
    }
)
"""Each finds: addresses of mail; streets with a house number; dates; telephone numbers; six digits and more (X is
an unknown one), as in numbers of persons, licences and cases; words of five characters and more that mix letters and
digits, as plates and VINs. Sections of statutes, of at most five digits, stay."""


def expression(patterns: Sequence[Pattern], also: Sequence[str]) -> str:
    """One expression of all of them. Raises: ValueError where one of `also` is none, or fits the empty text."""
    for one in also:
        if _finds(one, ""):
            raise ValueError("a pattern that fits everything")
    return "(?i)" + "|".join(f"(?:{one})" for one in (*(PATTERNS[name] for name in patterns), *also))


def _finds(pattern: str, text: str) -> bool:
    found: bool = pc.match_substring_regex(pa.array([text], pa.utf8()), pattern)[0].as_py()  # ArrowInvalid: ValueError
    return found


def redact(array: pa.Array, *, pattern: str) -> Outcome:
    """Every value of `utf8` or `binary` with `MARK` in place of what fits; a missing value (null, empty) is null."""
    filled = pc.greater(pc.binary_length(array), 0)
    replaced = pc.replace_substring_regex(array, pattern, MARK)
    return Outcome(array=pc.if_else(filled, replaced, pa.scalar(None, array.type)))
