"""The rules of columns: one typed transform each.

In job.toml a rule is written `"keep"`, `"drop"` or `"null"`, or `{ do = "...", ... }` with its parameters.
"""

import datetime
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from cji_core.operations.parameters import PROJECT_NAME

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

_MAX_KEPT_BYTES: Final = 32  # of a mask: with more it would hide nothing

ColumnName = Annotated[str, Meta(min_length=1, max_length=256)]
Domain = Annotated[str, Meta(pattern=rf"^{PROJECT_NAME.pattern}\Z")]
_Bytes = Annotated[int, Meta(ge=0, le=_MAX_KEPT_BYTES)]
_Value = Annotated[str, Meta(min_length=1, max_length=256)]
_Age = Annotated[int, Meta(ge=1, le=120)]  # Safe Harbor requires 90 at most: 45 CFR 164.514(b)(2)(i)(C)


class _Rule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="do"):
    pass


class Mask(_Rule, frozen=True, kw_only=True, tag="mask"):
    """Replace every byte but the first `keep_first` and the last `keep_last` ones by the ASCII character `with`."""

    keep_first: _Bytes = 0
    keep_last: _Bytes = 0
    with_: Annotated[str, Meta(pattern=r"^[!-~]\Z")] = msgspec.field(default="*", name="with")

    def __post_init__(self) -> None:
        if self.keep_first + self.keep_last > _MAX_KEPT_BYTES:
            raise ValueError(f"keep_first and keep_last: {_MAX_KEPT_BYTES} bytes at most together")


class HmacToken(_Rule, frozen=True, kw_only=True, tag="hmac_token"):
    """A keyed token; columns of one `domain` join with each other inside a project. `bits` of 80, 128 or 160."""

    domain: Domain
    bits: Literal[80, 128, 160] = 128  # 2^40, 2^64, 2^80 distinct values before two are expected to share a token


class CmacToken(_Rule, frozen=True, kw_only=True, tag="cmac_token"):
    """As HmacToken, by AES-CMAC: several times as fast; for short values anyone who has the key can turn it back."""

    domain: Domain
    bits: Literal[80, 128] = 128


class AesToken(_Rule, frozen=True, kw_only=True, tag="aes_token"):
    """A keyed token of a value of at most 15 bytes, which the project key turns back."""

    domain: Domain


class Ff1(_Rule, frozen=True, kw_only=True, tag="ff1"):
    """Format-preserving encryption: another value of the same length, of digits or of digits and capitals."""

    domain: Domain
    radix: Literal[10, 36] = 10


class DateTo(_Rule, frozen=True, kw_only=True, tag="date_to"):
    """Keep a date's year, or its year and month."""

    unit: Literal["year", "month"]


class ZipPrefix(_Rule, frozen=True, kw_only=True, tag="zip_prefix"):
    """Keep the first digits of a ZIP code; 3 is the HIPAA Safe Harbor geography."""

    digits: Annotated[int, Meta(ge=1, le=3)] = 3


class AgeBand(_Rule, frozen=True, kw_only=True, tag="age_band"):
    """A date of birth becomes a band of `width` years counted on `as_of`; ages of at least `top` are one band."""

    width: Annotated[int, Meta(ge=1, le=50)]
    top: _Age
    as_of: datetime.date

    def __post_init__(self) -> None:
        if self.width > self.top:
            raise ValueError("width: no more than top")


class Group(_Rule, frozen=True, kw_only=True, tag="group"):
    """A value becomes the name of the group that lists it; one that no group lists does not fit."""

    groups: Annotated[
        dict[_Value, Annotated[tuple[_Value, ...], Meta(min_length=1, max_length=4096)]], Meta(min_length=1)
    ]

    def __post_init__(self) -> None:
        values = [value for members in self.groups.values() for value in members]
        if len(set(values)) != len(values):
            raise ValueError("groups: a value in two of them")


class Redact(_Rule, frozen=True, kw_only=True, tag="redact"):
    """Replace all in a text that fits one of these `patterns` (see `redaction`), or of the RE2 ones in `also`."""

    patterns: tuple[Pattern, ...] = tuple(PATTERNS)
    also: Annotated[tuple[Annotated[str, Meta(min_length=1, max_length=256)], ...], Meta(max_length=16)] = ()

    def __post_init__(self) -> None:
        if not self.patterns and not self.also:
            raise ValueError("patterns: at least one, or one in also")
        if len(set(self.patterns)) != len(self.patterns):
            raise ValueError("patterns: one twice")


class DateShift(_Rule, frozen=True, kw_only=True, tag="date_shift"):
    """Move all dates of one subject by the same secret number of days within ±`max_days`."""

    subject_column: ColumnName
    max_days: Annotated[int, Meta(ge=1, le=3650)]


Step = Literal["keep", "null"] | DateTo | ZipPrefix | AgeBand | Group


class Hierarchy(_Rule, frozen=True, kw_only=True, tag="hierarchy"):
    """Steps of generalisation, the finest first; `small_classes` chooses one of them for each row."""

    steps: Annotated[tuple[Step, ...], Meta(min_length=2, max_length=8)]

    def __post_init__(self) -> None:
        if "keep" in self.steps[1:] or "null" in self.steps[:-1]:
            raise ValueError("steps: keep can only be the first, null only the last")
        if any(step in self.steps[:i] for i, step in enumerate(self.steps)):
            raise ValueError("steps: one twice")


Generalise = DateTo | ZipPrefix | AgeBand | Group
Token = HmacToken | CmacToken | AesToken | Ff1
Transform = (
    Literal["keep", "drop", "null"]
    | Mask
    | HmacToken
    | CmacToken
    | AesToken
    | Ff1
    | DateTo
    | ZipPrefix
    | AgeBand
    | Group
    | Redact
    | Hierarchy
    | DateShift
)
