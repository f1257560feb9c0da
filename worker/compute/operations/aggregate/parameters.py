"""Parameters of `aggregate`."""

from typing import Annotated, Final, Literal

from msgspec import Meta, field

from worker.compute.parameters import Name, Parameters, bad_parameters, decoded
from worker.errors import Stage
from worker.wire.v1 import worker_pb2 as pb

MAX_KEYS: Final = 4
MAX_SUMS: Final = 4

_Category = Annotated[str, Meta(min_length=1)]
_Categories = Annotated[tuple[_Category, ...], Meta(max_length=4096)]
_UpTo1000 = Annotated[int, Meta(ge=1, le=1000)]


class Aggregate(Parameters, frozen=True, kw_only=True, tag="aggregate"):
    """Cells of `keys`, or the lines of a `preset`.

    `keys` has columns to group by with their categories: every other value is unclassifiable; none: the values that
    occur. `person` is the column that identifies persons, "" for none; `sums` are columns of whole numbers. A cell of
    fewer than `threshold` persons (rows, where there is no `person`) is hidden, and others so that it cannot be worked
    out; 1 hides nothing. Numbers are rounded to multiples of `base`, halves up; 1 rounds nothing.
    """

    preset: Literal["srs_return_a"] | None = None
    keys: Annotated[dict[Name, _Categories], Meta(max_length=MAX_KEYS)] = field(default_factory=dict)
    person: str = ""
    sums: Annotated[tuple[Name, ...], Meta(max_length=MAX_SUMS)] = ()
    threshold: _UpTo1000 = 11
    base: _UpTo1000 = 1

    def __post_init__(self) -> None:
        if self.preset is not None:
            if (self.keys, self.person, self.sums, self.threshold, self.base) != ({}, "", (), 11, 1):
                raise ValueError("preset: takes no other parameter")
            return
        if not self.keys:
            raise ValueError("keys: at least one column, or a preset")
        if len(set(self.sums)) != len(self.sums):
            raise ValueError("sums: a column twice")
        for column, categories in self.keys.items():
            if len(set(categories)) != len(categories):
                raise ValueError(f"keys: a category of {column} twice")

    @property
    def columns(self) -> frozenset[str]:
        """All columns that are read."""
        return frozenset((*self.keys, *self.sums, *((self.person,) if self.person else ())))


def decode(message: pb.Aggregate) -> Aggregate:
    """The parameters in a header. Raises: Refusal(BAD_PARAMETERS) at ADMIT."""
    if message.preset:
        if message != pb.Aggregate(preset=message.preset):
            raise bad_parameters(Stage.ADMIT)
        return decoded(Aggregate, {"preset": message.preset})
    keys = {key.column: tuple(key.categories) for key in message.keys}
    if len(keys) != len(message.keys):
        raise bad_parameters(Stage.ADMIT)
    return decoded(
        Aggregate,
        {
            "keys": keys,
            "person": message.person,
            "sums": tuple(message.sums),
            "threshold": message.threshold,
            "base": message.base,
        },
    )


def encode(parameters: Aggregate) -> pb.Aggregate:
    """The parameters as they stand in a header."""
    if parameters.preset is not None:
        return pb.Aggregate(preset=parameters.preset)
    return pb.Aggregate(
        keys=[pb.GroupKey(column=column, categories=values) for column, values in parameters.keys.items()],
        person=parameters.person,
        sums=parameters.sums,
        threshold=parameters.threshold,
        base=parameters.base,
    )
