"""`presets.toml`: what a search by name asks for, and what agreement is worth."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Annotated, Final, Literal, Self

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import Meta

from worker.compute.kernels.column import Bools, Bytes

__all__ = [
    "LEVELS",
    "MISSING",
    "MODEL",
    "PRESETS",
    "UNKNOWN",
    "Equivalence",
    "Model",
    "Rules",
    "Weights",
    "load",
    "weights",
]

UNKNOWN: Final = "U"
MISSING: Final = "missing"
LEVELS: Final[Mapping[str, tuple[str, ...]]] = {
    "last": ("exact", "close", "phonetic", "differs", MISSING),
    "first": ("exact", "nickname", "close", "initial", "differs", MISSING),
    "names": ("as_written", "exchanged", MISSING),
    "DOB": ("equal", "years", "exchanged", "partial", "differs", MISSING),
    "SEX": ("same", "differs", MISSING),
    "RAC": ("same", "differs", MISSING),
    "SOC": ("same", "one_edit", "partial", "differs", MISSING),
    "FBI": ("same", "differs", MISSING),
    "MNU": ("same", "differs", MISSING),
    "SID": ("same", "differs", MISSING),
    "OLN": ("same", "differs", MISSING),
}
"""The fields of a hit, and the levels of each; the last one is that of a value missing on either side."""

_Letter = Annotated[str, Meta(pattern=r"^[A-Z]\Z")]
_Letters = Annotated[str, Meta(pattern=r"^[A-Z]{1,26}\Z")]
_Share = Annotated[float, Meta(gt=0, le=1)]


class _Table(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Equivalence:
    """A table of codes as numpy looks things up in it.

    number uint8[256]: of each code in ASCII from 0 on, that of U for what is not in the table; searched bool[c, c]:
    an inquiry of one searches records of the other.
    """

    number: Bytes
    searched: Bools
    unknown: int

    @classmethod
    def of(cls, table: Mapping[str, str]) -> Self:
        """Of `Rules.sex` or `Rules.race`."""
        codes = list(table)
        number = np.full(256, codes.index(UNKNOWN), np.uint8)
        number[[ord(code) for code in codes]] = np.arange(len(codes))
        searched = np.array([[other in table[code] for other in codes] for code in codes])
        return cls(number=number, searched=searched, unknown=codes.index(UNKNOWN))


class Rules(_Table, frozen=True, kw_only=True):
    """One kind of search.

    An inquiry with one of the `identifiers` is searched by it, and, where `identifiers_alone`, by nothing else. The
    search by name finds records whose surname sounds the same, born on the same month and day at most `years` years
    apart (29 February also on 28 February and 1 March of common years, and the other way round), whose sex and race are
    among those that the tables give for the inquiry's. `month_day_exchanged` also seeks the day with month and day in
    each other's place, `names_exchanged` a surname that sounds as the given name.
    """

    identifiers: tuple[Literal["SOC", "FBI", "MNU", "SID", "OLN"], ...]
    identifiers_alone: bool
    years: Annotated[int, Meta(ge=0, le=10)]
    month_day_exchanged: bool
    names_exchanged: bool
    sex: dict[_Letter, _Letters]
    race: dict[_Letter, _Letters]

    def __post_init__(self) -> None:
        if len(set(self.identifiers)) != len(self.identifiers):
            raise ValueError("an identifier twice")
        for table in (self.sex, self.race):
            if UNKNOWN not in table or not set(table).issuperset("".join(table.values())):
                raise ValueError("a table of codes without U, or with a code that is not a key")


class Chance(_Table, frozen=True, kw_only=True):
    """How often a level is seen: `m` in records of one person, `u` in records of two."""

    m: _Share
    u: _Share


class Model(_Table, frozen=True, kw_only=True):
    """What agreement is worth; hits of at least `strong` bits are strong."""

    strong: float
    levels: dict[str, dict[str, Chance]]

    def __post_init__(self) -> None:
        if {name: (*levels, MISSING) for name, levels in self.levels.items()} != LEVELS:
            raise ValueError("other fields or levels than there are, or in another order")
        for name, levels in self.levels.items():
            for sum_ in (sum(each.m for each in levels.values()), sum(each.u for each in levels.values())):
                if abs(sum_ - 1) > 1e-9:
                    raise ValueError(f"the chances of the levels of {name} are not 1 in sum")


Weights = Mapping[str, npt.NDArray[np.float64]]


def weights(model: Model) -> Weights:
    """For each field the bits of each of its LEVELS; 0 of a value that is missing."""
    return {
        field: np.array([*(math.log2(chance.m / chance.u) for chance in levels.values()), 0.0])
        for field, levels in model.levels.items()
    }


class _Presets(_Table, frozen=True, kw_only=True):
    version: Literal[1]
    presets: dict[str, Rules]
    model: Model


def load(data: bytes) -> tuple[Mapping[str, Rules], Model]:
    """The presets by name, and the model. Raises: ValueError for a file that does not make sense."""
    read = msgspec.toml.decode(data, type=_Presets)
    return read.presets, read.model


PRESETS, MODEL = load((files(__package__) / "presets.toml").read_bytes())
