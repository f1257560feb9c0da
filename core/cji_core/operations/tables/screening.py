"""`screening.toml`: the rules of searches, and the weight of agreement."""

from collections.abc import Mapping
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

UNKNOWN: Final = "U"
MISSING: Final = "missing"
LEVELS: Final[Mapping[str, tuple[str, ...]]] = {
    "last": ("exact", "unaccented", "close", "phonetic", "differs", MISSING),
    "first": ("exact", "unaccented", "nickname", "close", "initial", "differs", MISSING),
    "middle": ("exact", "unaccented", "initial", "differs", MISSING),
    "suffix": ("same", "differs", MISSING),
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
    """The weights of agreement; hits of at least `strong` bits are strong."""

    strong: float
    levels: dict[str, dict[str, Chance]]

    def __post_init__(self) -> None:
        if {name: (*levels, MISSING) for name, levels in self.levels.items()} != LEVELS:
            raise ValueError("other fields or levels than there are, or in another order")
        for name, levels in self.levels.items():
            for sum_ in (sum(each.m for each in levels.values()), sum(each.u for each in levels.values())):
                if abs(sum_ - 1) > 1e-9:
                    raise ValueError(f"the chances of the levels of {name} are not 1 in sum")


_ALWAYS: Final = frozenset(("ncic_qw", "ncic_qw_expanded_dob", "iii_qh"))


class Screening(_Table, frozen=True, kw_only=True):
    """The whole table; the searches of NCIC and III are there under their names, whatever an operator adds."""

    version: Literal[1]
    presets: dict[str, Rules]
    model: Model

    def __post_init__(self) -> None:
        if missing := _ALWAYS - self.presets.keys():
            raise ValueError(f"no preset {min(missing)}")
