"""`Verified`: the base of types whose values exist only because checks passed.

Their verifiers alone pass the constructor key. It is not kept in the value, so `dataclasses.replace` cannot copy one
with another member either.
"""

from dataclasses import InitVar, dataclass
from typing import Final

_CONSTRUCTOR_KEY: Final = object()


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """Cannot be constructed without the key; TypeError."""

    constructor_key: InitVar[object]

    def __post_init__(self, constructor_key: object) -> None:
        if constructor_key is not _CONSTRUCTOR_KEY:
            raise TypeError(f"only its verifier makes a {type(self).__name__}")
