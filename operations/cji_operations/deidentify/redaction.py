"""Free text without what fits a pattern of numbers, dates and addresses of persons.

Everything that fits becomes `[redacted]`, in one pass over the text: of overlapping finds the one that begins first
counts, and what takes its place is not looked at again. Patterns are RE2's, whose time is linear in the text.

No pattern finds a name in prose. Text that may hold names must be dropped, or read by somebody.
"""

from collections.abc import Sequence
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from cji_core.operations.deidentify.rules import PATTERNS, Pattern
from cji_operations.deidentify.outcome import Outcome

MARK: Final = "[redacted]"


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
