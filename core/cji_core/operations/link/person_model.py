"""The default model for `person/1` and `hotfile/1`: of those columns that the records have.

Levels follow the practice of probabilistic linkage: agreement by value with its frequency, the same without accents,
close spellings by Jaro-Winkler (W. E. Winkler, 1990), names that are a part of the other, one slip of the hand in
dates and numbers, and for given names their short forms. Training starts from `initial_m`.
"""

from collections.abc import Collection
from typing import Final

from msgspec.structs import replace

from cji_core.operations.link.model import Comparison, Condition, Key, Level, Model, Rule, has


def _jaro_winkler(column: str, number: float) -> Level:
    return Level(
        label=f"spelt alike (Jaro-Winkler {number:g} or more)", conditions=(_when(column, "jaro_winkler", number),)
    )


def _when(column: str, test: str, number: float = 0.0) -> Condition:
    return Condition(column=column, test=test, number=number)  # type: ignore[arg-type]


def _same(column: str, *, frequency: float = 0.0) -> Level:
    return Level(
        label="the same",
        conditions=(_when(column, "same"),),
        tf_adjustment_column=column if frequency else "",
        tf_adjustment_weight=frequency or 1.0,
    )


_DIFFERENT: Final = Level(label="different")
_MOST_CONTRARY: Final = 0.005
"""Of pairs of records of one person, at most this share has contrary suffixes."""
_MOST_A_GENERATION_APART: Final = 0.1
"""Of pairs of records of one person, at most this share has years of birth a generation apart: EM would take father and
son of one name at one address for one person."""
_MOST_OTHER_NAMES: Final = 0.1
"""Of pairs of records of one person, at most so many have given names with nothing in common. Relatives at one address
agree in all else, and EM would take them for one person."""


def _alike(column: str, *, frequency: float = 0.0) -> Level:
    """If accents are rare, so is a name with and without one, which makes it no better evidence than equality."""
    return Level(
        label="the same but for accents, blanks and the like",
        conditions=(_when(column, "alike"),),
        capped=True,
        tf_adjustment_column=column if frequency else "",
        tf_adjustment_weight=frequency or 1.0,
    )


def _part(column: str) -> Level:
    return Level(label="one is a part of the other", conditions=(_when(column, "part"),), capped=True)


def _parts(column: str) -> Level:
    return Level(
        label="the same parts in another order, or with other particles",
        conditions=(_when(column, "parts"),),
        capped=True,
    )


def _given_name() -> Comparison:
    nickname = Level(label="forms of one given name", conditions=(_when("first", "nickname"),))
    return Comparison(
        name=_GIVEN_NAME,
        levels=(
            _same("first", frequency=1.0),
            _alike("first", frequency=1.0),
            _parts("first"),
            nickname,
            _jaro_winkler("first", 0.92),
            _part("first"),
            _jaro_winkler("first", 0.8),
            Level(label="the same initial", conditions=(_when("first", "prefix", 1),)),
            Level(label="different", most_m=_MOST_OTHER_NAMES),
        ),
        initial_m=(0.65, 0.01, 0.005, 0.05, 0.1, 0.02, 0.05, 0.05, 0.1),
    )


def _surname() -> Comparison:
    return Comparison(
        name=_SURNAME,
        levels=(
            _same("last", frequency=1.0),
            _alike("last", frequency=1.0),
            _parts("last"),
            _jaro_winkler("last", 0.92),
            _part("last"),
            _jaro_winkler("last", 0.8),
            Level(label="the same Soundex code", conditions=(_when("last", "soundex"),)),
            _DIFFERENT,
        ),
        initial_m=(0.7, 0.01, 0.005, 0.12, 0.02, 0.05, 0.03, 0.1),
        shared=True,
    )


_GIVEN_NAME: Final = "given name"
_SURNAME: Final = "surname"
_MIDDLE_NAME: Final = "middle name"
_DATE: Final = "date of birth"
_GENERATION: Final = 14  # years
_MOST_OF_HOUSEHOLD: Final = 0.005
"""Of pairs of records of one person, at most this share looks like two of a household."""


def _exchanged() -> Comparison:
    """The only evidence of names that are exchanged."""
    exchanged, crossed = (
        Condition(column="first", other="last", test="exchanged"),
        Condition(column="first", other="last", test="crossed"),
    )
    return Comparison(
        name="names in each other's place",
        levels=(
            Level(
                label="given name and surname of each are the surname and given name of the other",
                conditions=(exchanged,),
                settles=(_GIVEN_NAME, _SURNAME),
            ),
            Level(label="the given name of one is the surname of the other", conditions=(crossed,)),
            Level(label="neither is the other's"),
        ),
        initial_m=(0.01, 0.02, 0.97),
    )


def _rearranged() -> Comparison:
    """With a middle name, given names in each other's place, and the parts of all names in any place."""
    rearranged = Condition(column="first", other="middle last", test="rearranged")
    crossed = Condition(column="first", other="middle", test="crossed")
    return Comparison(
        name="given names in another place",
        levels=(
            Level(
                label="the parts of all names are the same, in other places",
                conditions=(rearranged,),
                settles=(_GIVEN_NAME, _MIDDLE_NAME, _SURNAME, "names in each other's place"),
            ),
            Level(
                label="the given name of one is the middle name of the other",
                conditions=(crossed,),
                settles=(_GIVEN_NAME, _MIDDLE_NAME),
            ),
            Level(label="neither"),
        ),
        initial_m=(0.01, 0.02, 0.97),
        missing="never",
    )


def _middle_name() -> Comparison:
    initial = Level(label="the same initial", conditions=(_when("middle", "prefix", 1),))
    levels = (
        _same("middle", frequency=1.0),
        _alike("middle", frequency=1.0),
        initial,
        Level(label="different", most_m=_MOST_OTHER_NAMES),
    )
    return Comparison(name=_MIDDLE_NAME, levels=levels, initial_m=(0.6, 0.01, 0.2, 0.2))


def _suffix() -> Comparison:
    return Comparison(
        name="suffix",
        levels=(
            Level(label="the same generation", conditions=(_when("suffix", "same"),)),
            Level(label="contrary", most_m=_MOST_CONTRARY),
        ),
        initial_m=(0.995, 0.005),
    )


def _household() -> Comparison:
    """Two persons of a household: what they have in common does not speak for one person.

    u is given: strangers of one name and address are too rare to be found in random pairs.
    """
    home = (_when("last", "alike"), _when("address_1", "alike"))
    generation = (*home, _when("first", "alike"), _when("DOB", "years_apart", _GENERATION))
    twins = (_when("last", "alike"), _when("DOB", "same"), _when("first", "unlike", 0.8))
    settles = (_GIVEN_NAME, _DATE)
    return Comparison(
        name="household",
        levels=(
            Level(label="one name at one address, a generation apart", conditions=generation,
                  settles=(*settles, _MIDDLE_NAME, "sex"),
                  most_m=_MOST_OF_HOUSEHOLD, u=0.02),
            Level(label="another given name, with one surname and date of birth", conditions=twins, settles=settles,
                  most_m=_MOST_OF_HOUSEHOLD, u=0.003),
            Level(label="neither", u=0.977),
        ),
        initial_m=(0.002, 0.002, 0.996),
        missing="never",
    )  # fmt: skip


def _birth() -> Comparison:
    return Comparison(
        name=_DATE,
        levels=(
            _same("DOB", frequency=0.5),
            Level(label="equal in all known digits", conditions=(_when("DOB", "date"),)),
            Level(label="one slip of the hand apart", conditions=(_when("DOB", "date_slip"),)),
            Level(label="the same year and month", conditions=(_when("DOB", "year_month"),)),
            Level(label="the same year", conditions=(_when("DOB", "year"),)),
            Level(
                label="a generation apart",
                conditions=(_when("DOB", "years_apart", _GENERATION),),
                most_m=_MOST_A_GENERATION_APART,
            ),
            _DIFFERENT,
        ),
        initial_m=(0.75, 0.03, 0.1, 0.03, 0.04, 0.01, 0.04),
    )


def _number(column: str, name: str) -> Comparison:
    slip = Level(label="one slip of the hand apart", conditions=(_when(column, "number_slip"),))
    return Comparison(name=name, levels=(_same(column), slip, _DIFFERENT), initial_m=(0.8, 0.12, 0.08))


def _text(column: str, name: str) -> Comparison:
    levels = (_same(column, frequency=1.0), _jaro_winkler(column, 0.9), _jaro_winkler(column, 0.75), _DIFFERENT)
    return Comparison(name=name, levels=levels, initial_m=(0.6, 0.15, 0.05, 0.2), shared=True)


def _postcode() -> Comparison:
    return Comparison(
        name="postcode",
        levels=(
            _same("postcode", frequency=1.0),
            Level(label="one slip of the hand apart", conditions=(_when("postcode", "number_slip"),)),
            Level(label="equal in the first three places", conditions=(_when("postcode", "prefix", 3),)),
            _DIFFERENT,
        ),
        initial_m=(0.6, 0.1, 0.1, 0.2),
        shared=True,
    )


def _code(column: str, name: str, *, shared: bool = False) -> Comparison:
    levels = (_same(column, frequency=1.0), _DIFFERENT)
    return Comparison(name=name, levels=levels, initial_m=(0.9, 0.1), shared=shared)


_COMPARISONS: Final = (
    _given_name(),
    _middle_name(),
    _surname(),
    _exchanged(),
    _rearranged(),
    _suffix(),
    _birth(),
    _household(),
    _number("SOC", "Social Security number"),
    _number("OLN", "driver's licence number"),
    _number("FBI", "FBI number"),
    _number("SID", "state identification number"),
    _code("SEX", "sex"),
    _code("RAC", "race", shared=True),
    _text("POB", "place of birth"),
    _postcode(),
    _code("street_number", "street number", shared=True),
    _text("address_1", "first address line"),
    _text("address_2", "second address line"),
    _text("suburb", "suburb"),
    _text("city", "city"),
)


def _rule(text: str, most_pairs: int | None = None) -> Rule:
    return Rule(keys=tuple(map(_key, text.split())), most_pairs=most_pairs)


def _key(text: str) -> Key:
    """`column`, `column:form` or `column:length`; `column|other:form` for two columns."""
    columns, _, form = text.partition(":")
    column, _, other = columns.partition("|")
    if form.isdigit():
        return Key(column=column, form="prefix", length=int(form))
    return Key(column=column, form=form or "whole", other=other)  # type: ignore[arg-type]


_BLOCKING: Final = tuple(
    map(
        _rule,
        (
            "SOC",
            "OLN",
            "FBI",
            "SID",
            "last DOB",
            "first DOB",
            "DOB postcode",
            "DOB POB",
            "DOB address_1",
            "DOB first:1 last:1",
            "last|first:soundex DOB:year",
            "last:soundex first:1 DOB:month_day",
            "last:soundex first:1 postcode:3",
            "last:soundex first:1 POB",
            "first postcode",
            "last postcode",
            "address_1 last",
            "address_1 first",
            "address_1 street_number",
            "first:3 last:4 DOB:year",
            "first:3 last:4 DOB:month_day",
            "first:3 last:4 postcode:3",
            "first:3 last:4 POB",
            "first:3 last:4 city",
        ),
    )
)
"""In any table the pairs of these grow with its rows: what two of its values have in common by chance is rare."""

_WIDE: Final = tuple(
    _rule(text, 3_000_000)
    for text in (
        "first last",
        "last:soundex DOB:month_day",
        "first:3 last:4",
        "DOB",
        "last",
        "address_1",
        "first",
        "postcode",
        "last:soundex first:1",
        "first:soundex last:1",
        "address_1:5",
        "DOB:year_month",
        "DOB:month_day",
        "city first:1",
        "city last:1",
        "POB first:1",
        "city",
        "first:soundex postcode:3",
        "first DOB:year",
        "postcode:3 DOB:year",
        "postcode:3 POB",
        "POB DOB:year",
    )
)
"""For small tables, as their pairs grow with the square of the rows: one with more pairs than this, a few seconds'
work, is left out."""

_DETERMINISTIC: Final = tuple(
    map(
        _rule,
        (
            "SOC DOB",
            "SOC last",
            "FBI",
            "SID",
            "OLN DOB",
            "OLN last",
            "last DOB",
            "first DOB postcode",
            "first DOB POB",
            "first DOB city",
            "first DOB address_1",
            "first last postcode",
            "first last address_1",
            "first last street_number",
        ),
    )
)

_RELATIVES: Final = (_rule("last address_1 street_number"), _rule("last address_1"))
"""Records of one household: the first rule of columns that are there."""

_BY_NAME: Final = (_rule("first last"),)
"""The rule if no other one fits. Training leaves out the pairs that agree by chance, which are many."""

SPLIT: Final = tuple(map(_key, ("DOB:year", "first:1", "DOB", "postcode", "SEX", "first", "last", "address_1", "SOC")))
"""The keys that split oversized blocks."""


def model_for(names: Collection[str]) -> Model:
    """The default for records with columns of these names; comparisons and rules of other columns are left out."""
    deterministic = [rule for rule in _DETERMINISTIC if _fits(rule, names)]
    comparisons = [one for one in _COMPARISONS if all(has(names, name) for name in one.columns)]
    known = {one.name for one in comparisons}
    return Model(
        comparisons=tuple(_settling(one, known) for one in comparisons),
        blocking=tuple(rule for rule in (*_BLOCKING, *_WIDE) if _fits(rule, names)),
        deterministic_rules=tuple(deterministic or [rule for rule in _BY_NAME if _fits(rule, names)]),
        relatives=next((rule for rule in _RELATIVES if _fits(rule, names)), None),
    )


def _settling(comparison: Comparison, known: Collection[str]) -> Comparison:
    """The comparison, whose levels settle only others that there are."""
    levels = tuple(
        replace(level, settles=tuple(name for name in level.settles if name in known)) for level in comparison.levels
    )
    return replace(comparison, levels=levels)


def split_for(names: Collection[str]) -> tuple[Key, ...]:
    """`SPLIT`, of the columns that the records have."""
    return tuple(key for key in SPLIT if has(names, key.column))


def _fits(rule: Rule, names: Collection[str]) -> bool:
    return all(has(names, name) for key in rule.keys for name in key.columns)
