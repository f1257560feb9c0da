"""The `[deidentify]` table of a job spec: one typed transform for each column, and its protobuf form.

A column is written `NAME = "keep"`, `"drop"` or `"null"`, or `NAME = { do = "...", ... }` for a transform with
parameters. Every input column is named exactly once; the worker refuses anything else.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from worker.compute.operations.deidentify.operation import NAME
from worker.wire.v1 import worker_pb2 as pb

__all__ = [
    "AesToken",
    "AgeBand",
    "DateShift",
    "DateTo",
    "Deidentify",
    "Ff1",
    "HmacToken",
    "Mask",
    "SmallClasses",
    "Transform",
    "ZipPrefix",
]

_Small = Annotated[int, Meta(ge=0, le=0xFFFF)]
_Positive = Annotated[int, Meta(ge=1, le=0xFFFF)]
_Name = Annotated[str, Meta(min_length=1, max_length=256)]
_Domain = Annotated[str, Meta(pattern=rf"^{NAME.pattern}\Z")]


class _Rule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="do"):
    pass


class Mask(_Rule, frozen=True, kw_only=True, tag="mask"):
    """Replace every byte but the first `keep_first` and the last `keep_last` ones by the ASCII character `with`."""

    keep_first: _Small = 0
    keep_last: _Small = 0
    with_: Annotated[str, Meta(pattern=r"^[ -~]$")] = msgspec.field(default="*", name="with")


class HmacToken(_Rule, frozen=True, kw_only=True, tag="hmac_token"):
    """A keyed token; columns of one `domain` join with each other inside a project. `bits` of 80, 128 or 160."""

    domain: _Domain
    bits: Literal[80, 128, 160] = 128


class AesToken(_Rule, frozen=True, kw_only=True, tag="aes_token"):
    """A keyed token of a value of at most 15 bytes, which the project key turns back."""

    domain: _Domain


class Ff1(_Rule, frozen=True, kw_only=True, tag="ff1"):
    """Format-preserving encryption: another value of the same length, of digits or of digits and capitals."""

    domain: _Domain
    radix: Literal[10, 36] = 10


class DateTo(_Rule, frozen=True, kw_only=True, tag="date_to"):
    """Keep a date's year, or its year and month."""

    unit: Literal["year", "month"]


class ZipPrefix(_Rule, frozen=True, kw_only=True, tag="zip_prefix"):
    """Keep the first digits of a ZIP code; 3 is the HIPAA Safe Harbor geography."""

    digits: _Positive = 3


class AgeBand(_Rule, frozen=True, kw_only=True, tag="age_band"):
    """A date of birth becomes a band of `width` years counted on `as_of`; ages of at least `top` are one band."""

    width: _Positive
    top: _Positive
    as_of: Annotated[str, Meta(pattern=r"^\d{4}-\d{2}-\d{2}$")]


class DateShift(_Rule, frozen=True, kw_only=True, tag="date_shift"):
    """Move all dates of one subject by the same secret number of days within ±`max_days`."""

    subject_column: _Name
    max_days: _Positive


Transform = (
    Literal["keep", "drop", "null"] | Mask | HmacToken | AesToken | Ff1 | DateTo | ZipPrefix | AgeBand | DateShift
)


class SmallClasses(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Rows that share these columns with fewer than `k` - 1 others lose them; a report counts classes by size."""

    quasi_identifiers: Annotated[tuple[_Name, ...], Meta(min_length=1)]
    k: Annotated[int, Meta(ge=2, le=1000)]


class Deidentify(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Parameters of the operation `deidentify`; `project_key` names a file of `cji key project`."""

    project: _Domain
    columns: Annotated[dict[_Name, Transform], Meta(min_length=1)]
    project_key: str | None = None
    small_classes: SmallClasses | None = None
    token_map: bool = False

    @property
    def needs_project_key(self) -> bool:
        """Whether a column makes tokens or shifts dates."""
        return any(isinstance(rule, HmacToken | AesToken | Ff1 | DateShift) for rule in self.columns.values())

    def message(self, wrapped_project_key: bytes) -> pb.Operation:
        """The operation as it stands in a job header; columns keep the order of the spec."""
        columns = [_column(name, rule) for name, rule in self.columns.items()]
        small = self.small_classes
        return pb.Operation(
            deidentify=pb.Deidentify(
                project=self.project,
                wrapped_project_key=wrapped_project_key,
                columns=columns,
                small_classes=None
                if small is None
                else pb.SmallClasses(quasi_identifiers=small.quasi_identifiers, k=small.k),
                token_map=self.token_map,
            )
        )


def _column(name: str, rule: Transform) -> pb.ColumnRule:
    column = pb.ColumnRule(column=name)
    match rule:
        case "keep":
            column.keep.SetInParent()
        case "drop":
            column.drop.SetInParent()
        case "null":
            column.null.SetInParent()
        case Mask():
            column.mask.keep_first, column.mask.keep_last = rule.keep_first, rule.keep_last
            setattr(column.mask, "with", rule.with_)
        case HmacToken():
            column.hmac_token.domain, column.hmac_token.bits = rule.domain, rule.bits
        case AesToken():
            column.aes_token.domain = rule.domain
        case Ff1():
            column.ff1.domain, column.ff1.radix = rule.domain, rule.radix
        case DateShift():
            column.date_shift.subject_column, column.date_shift.max_days = rule.subject_column, rule.max_days
        case _:
            column.generalise.CopyFrom(_generalise(rule))
    return column


def _generalise(rule: DateTo | ZipPrefix | AgeBand) -> pb.Generalise:
    match rule:
        case DateTo():
            return pb.Generalise(date_to=pb.DateTo(unit=pb.DateTo.YEAR if rule.unit == "year" else pb.DateTo.MONTH))
        case ZipPrefix():
            return pb.Generalise(zip_prefix=pb.ZipPrefix(digits=rule.digits))
        case AgeBand():
            return pb.Generalise(age_band=pb.AgeBand(width=rule.width, top=rule.top, as_of=rule.as_of))
