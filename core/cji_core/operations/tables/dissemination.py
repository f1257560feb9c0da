"""`dissemination.toml`: purposes, files, and grants; what no grant names is withheld."""

from itertools import product
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from cji_core.format.records import DataClass

Flag = Literal["sealed", "juvenile", "non_conviction", "restricted_file"]
_CRIMINAL_JUSTICE_ONLY: Final = frozenset(("sealed", "juvenile"))

_Code = Annotated[str, Meta(pattern=r"^[A-Z0-9]{1,3}\Z")]
_Name = Annotated[str, Meta(pattern=r"^[a-z][a-z_]{0,63}\Z")]
_File = Annotated[str, Meta(pattern=r"^[A-Z0-9]{1,8}\Z")]


class _Table(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class Purpose(_Table, frozen=True, kw_only=True):
    """A purpose code (NIEM RapSheetPurposeCode)."""

    meaning: str
    criminal_justice: bool


class Files(_Table, frozen=True, kw_only=True):
    """Letters of NCIC files; `restricted` ones are protected as criminal history is (CJISSECPOL 4.2.2)."""

    restricted: tuple[_File, ...]
    unrestricted: tuple[_File, ...]


class Grant(_Table, frozen=True, kw_only=True):
    """The data that these recipients may receive for these purposes."""

    purposes: Annotated[tuple[_Code, ...], Meta(min_length=1)]
    recipients: Annotated[tuple[_Name, ...], Meta(min_length=1)]
    flags: tuple[Flag, ...]
    data: Annotated[tuple[DataClass, ...], Meta(min_length=1)]


class Dissemination(_Table, frozen=True, kw_only=True):
    """The whole table; what no grant names is withheld."""

    version: Literal[1]
    non_conviction_after_days: Annotated[int, Meta(ge=1, le=36_500)]
    purposes: Annotated[dict[_Code, Purpose], Meta(min_length=1)]
    files: Files
    grants: Annotated[tuple[Grant, ...], Meta(min_length=1)]

    def __post_init__(self) -> None:
        pairs = [pair for grant in self.grants for pair in product(grant.purposes, grant.recipients)]
        if len(set(pairs)) != len(pairs):
            raise ValueError("two grants for one purpose and recipient class")
        for grant in self.grants:
            for code in grant.purposes:
                if code not in self.purposes:
                    raise ValueError(f"a grant for purpose {code}, which is not in the table")
                if not self.purposes[code].criminal_justice and _CRIMINAL_JUSTICE_ONLY & set(grant.flags):
                    raise ValueError(f"sealed or juvenile records granted for purpose {code}")
        if set(self.files.restricted) & set(self.files.unrestricted):
            raise ValueError("a file that is both restricted and unrestricted")

    @property
    def recipients(self) -> frozenset[str]:
        """Every recipient class that there is."""
        return frozenset(name for grant in self.grants for name in grant.recipients)

    def grant(self, purpose: str, recipient: str) -> Grant | None:
        """The grant to this recipient class for this purpose, if there is one."""
        found = (grant for grant in self.grants if purpose in grant.purposes and recipient in grant.recipients)
        return next(found, None)
