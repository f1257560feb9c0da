"""Parameters of `aggregate`."""

from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta, field, structs

from cji_core.errors import Stage
from cji_core.wire.v1 import worker_pb2 as pb
from cji_operations.parameters import Name, Parameters, bad_parameters, decoded, known

MAX_KEYS: Final = 4
MAX_SUMS: Final = 4

_THRESHOLD: Final = 11
_EXACT: Final = 1

_Month = Annotated[str, Meta(pattern=r"^[12][0-9]{3}-(0[1-9]|1[0-2])\Z")]
_Category = Annotated[str, Meta(min_length=1)]
_Categories = Annotated[tuple[_Category, ...], Meta(max_length=4096)]
_UpTo1000 = Annotated[int, Meta(ge=1, le=1000)]


class Dominance(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A cell is sensitive if its `top` largest persons make up more than `percent` of one of its sums."""

    top: Annotated[int, Meta(ge=1, le=5)] = 1
    percent: Annotated[int, Meta(ge=1, le=99)]


class Aggregate(Parameters, frozen=True, kw_only=True, tag="aggregate"):
    """Cells of `keys`, or the lines of a `preset`.

    `keys` has columns to group by with their categories: every other value is unclassifiable; none: the values that
    occur. `person` is the column that identifies persons, "" for none; `sums` are columns of whole numbers. A cell of
    fewer than `threshold` persons (rows, where there is no `person`) is hidden, and others so that it cannot be worked
    out; 1 hides nothing. `dominance` hides cells too; rows are its persons, where there is no `person`. Numbers are
    rounded to multiples of `base`, halves up; 1 rounds nothing.

    A preset counts the `reports` that a validation has accepted, or all: there is no default. It makes the sheets of
    `months` (YYYY-MM), all without any. Its numbers are exact, unless a `threshold` is given.
    """

    preset: Literal["srs_return_a"] | None = None
    keys: Annotated[dict[Name, _Categories], Meta(max_length=MAX_KEYS)] = field(default_factory=dict)
    person: str = ""
    sums: Annotated[tuple[Name, ...], Meta(max_length=MAX_SUMS)] = ()
    threshold: _UpTo1000 | None = None
    base: _UpTo1000 = 1
    dominance: Dominance | None = None
    reports: Literal["accepted", "all"] | None = None
    months: Annotated[tuple[_Month, ...], Meta(max_length=1200)] = ()

    def __post_init__(self) -> None:
        if self.threshold is None:
            structs.force_setattr(self, "threshold", _EXACT if self.preset else _THRESHOLD)
        if self.preset is not None:
            if (self.keys, self.person, self.sums, self.base, self.dominance) != ({}, "", (), 1, None):
                raise ValueError("preset: takes reports, months and threshold only")
            if self.reports is None:
                raise ValueError('reports: "accepted", with the side table incidents of a validation, or "all"')
            if len(set(self.months)) != len(self.months):
                raise ValueError("months: one twice")
            return
        if self.reports is not None or self.months:
            raise ValueError("reports, months: with a preset only")
        if self.dominance is not None and not self.sums:
            raise ValueError("dominance: of sums, and there are none")
        if not self.keys:
            raise ValueError("keys: at least one column, or a preset")
        if len(set(self.sums)) != len(self.sums):
            raise ValueError("sums: a column twice")
        for column, categories in self.keys.items():
            if len(set(categories)) != len(categories):
                raise ValueError(f"keys: a category of {column} twice")

    @property
    def hides_below(self) -> int:
        """The threshold, given or not."""
        return known(self.threshold)

    @property
    def columns(self) -> frozenset[str]:
        """All columns that are read."""
        return frozenset((*self.keys, *self.sums, *((self.person,) if self.person else ())))


_REPORTS: Final = {pb.Aggregate.REPORTS_UNSPECIFIED: None, pb.Aggregate.ACCEPTED: "accepted", pb.Aggregate.ALL: "all"}


def decode(message: pb.Aggregate) -> Aggregate:
    """The parameters in a header. Raises: Refusal(BAD_PARAMETERS) at ADMIT."""
    keys = {key.column: tuple(key.categories) for key in message.keys}
    if len(keys) != len(message.keys):
        raise bad_parameters(Stage.ADMIT)
    return decoded(
        Aggregate,
        {
            "preset": message.preset or None,
            "keys": keys,
            "person": message.person,
            "sums": tuple(message.sums),
            "threshold": message.threshold,
            "base": message.base,
            "dominance": {"top": message.dominance.top, "percent": message.dominance.percent}
            if message.HasField("dominance")
            else None,
            "reports": _REPORTS.get(message.reports, "unknown"),
            "months": tuple(message.months),
        },
    )


def encode(parameters: Aggregate) -> pb.Aggregate:
    """The parameters as they stand in a header."""
    dominance, reports = parameters.dominance, parameters.reports
    return pb.Aggregate(
        preset=parameters.preset or "",
        keys=[pb.GroupKey(column=column, categories=values) for column, values in parameters.keys.items()],
        person=parameters.person,
        sums=parameters.sums,
        threshold=parameters.hides_below,
        base=parameters.base,
        dominance=None if dominance is None else pb.Dominance(top=dominance.top, percent=dominance.percent),
        reports=next((number for number, name in _REPORTS.items() if name == reports), None),
        months=parameters.months,
    )
