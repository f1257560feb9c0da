"""The search rules of `screen` as the manuals state them: which records an inquiry is compared with."""

import itertools
from collections.abc import Mapping

import msgspec
import pytest

from cji_core.errors import Reason
from cji_core.format.records import Status
from cji_core.operations.screen import MAX_HITS, Code
from cji_operations.screen import HitClass, Outcome, run
from tests.reference import screen as twin
from tests.support.refusals import refused
from tests.support.screen_tools import BOTH_WAYS, PERSON, RECORD, SMITH, Row, is_hit, screened

# "Additional Guidelines for Identity Theft Inquiry", TIME manual: race in the inquiry, race codes searched.
# Sex restricts where both are known.
NCIC_RACES = {"A": "ABIUW", "I": "ABIUW", "B": "ABIU", "W": "AIUW", "U": "ABIUW"}
NCIC_SEXES = {"M": "MU", "F": "FU", "U": "MFU"}
# "Searching the Index", TIME manual: an absolute match on sex and race, but U in an inquiry searches all.
III_RACES = {"A": "A", "I": "I", "B": "B", "W": "W", "U": "ABIUW"}
III_SEXES = {"M": "M", "F": "F", "U": "MFU"}


@pytest.mark.parametrize(
    ("preset", "sexes", "races"),
    [
        ("ncic_qw", NCIC_SEXES, NCIC_RACES),
        ("ncic_qw_expanded_dob", NCIC_SEXES, NCIC_RACES),
        ("iii_qh", III_SEXES, III_RACES),
    ],
)
def test_every_sex_and_race(preset: str, sexes: Mapping[str, str], races: Mapping[str, str]) -> None:
    """Every code on both sides; what is missing or no code of the table is U."""
    codes = list(itertools.product([*"MFUXm", None, "MF"], [*"ABIWUHw", None, "WW"]))
    reference: list[Row] = [{**RECORD, "SEX": sex, "RAC": race} for sex, race in codes]
    inquiries: list[Row] = [{**SMITH, "SEX": sex, "RAC": race} for sex, race in codes]
    found = screened(inquiries, reference, twin.asked(preset, max_hits=MAX_HITS))

    def known(code: str | None, table: Mapping[str, str]) -> str:
        return code.upper() if code and code.upper() in table else "U"

    wanted = [
        (i, j)
        for i, (sex_a, race_a) in enumerate(codes)
        for j, (sex_b, race_b) in enumerate(codes)
        if known(sex_b, sexes) in sexes[known(sex_a, sexes)] and known(race_b, races) in races[known(race_a, races)]
    ]
    assert sorted(zip(found.row.tolist(), found.reference_row.tolist(), strict=True)) == wanted


@pytest.mark.parametrize(
    ("years", "asked", "recorded", "hit"),
    [
        (0, "19800615", "1980-06-15", True),
        (0, "19800615", "19810615", False),
        (1, "19800615", "19810615", True),
        (1, "19800615", "19790615", True),
        (1, "19800615", "19820615", False),
        (1, "19800615", "19810616", False),
        (3, "19800615", "19830615", True),
        (3, "19800615", "19770615", True),
        (3, "19800615", "19840615", False),
        (3, "00020615", "00010615", True),
        (3, "99980615", "99990615", True),
        (3, "00020615", "99990614", False),
        (3, "99980615", "00010616", False),
        # 29 February is 28 February and 1 March of years that have none, and only of those
        (0, "19800229", "19800229", True),
        (0, "19800229", "19800228", False),
        (1, "19800229", "19810228", True),
        (1, "19800229", "19810301", True),
        (1, "19800229", "19790228", True),
        (1, "19800229", "19800228", False),
        (1, "19800229", "19800301", False),
        (1, "19810228", "19800229", True),
        (1, "19810301", "19800229", True),
        (1, "19800228", "19800229", False),
        (3, "19800228", "19840229", False),
        (3, "19830228", "19800229", True),
        (4, "19800229", "19840229", True),
        (4, "19800229", "19840228", False),
        (3, "19820228", "19800301", False),
        (4, "19000228", "19040229", True),
        (4, "20000228", "20040229", False),
        # a date with unknown digits: what is known must agree
        (0, "1980-06-XX", "19800630", True),
        (0, "1980-06-XX", "19800730", False),
        (0, "1980XXXX", "19801231", True),
        (0, "1980XXXX", "19811231", False),
        (1, "1980XXXX", "19811231", True),
        (0, "XXXX0615", "19800615", True),
        (0, "198XXXXX", "19800615", False),  # neither a year nor a day: no search
        (0, "19800630", "1980-06-XX", True),
        (0, "19800615", "XXXX0615", True),
        (0, "19800615", "XXXX0616", False),
        (0, "1980-06-XX", "19XX-06-15", True),
    ],
)
def test_dates(years: int, asked: str, recorded: str, hit: bool) -> None:
    rules = msgspec.structs.replace(twin.PRESETS["ncic_qw"], years=years)
    assert is_hit({**SMITH, "DOB": asked}, {**RECORD, "DOB": recorded}, rules) is hit


def test_a_record_found_in_two_ways_is_one_candidate() -> None:
    rules = msgspec.structs.replace(twin.PRESETS["ncic_qw"], identifiers_alone=False)
    found = screened([{**SMITH, "SOC": "219099998"}], [{**RECORD, "SOC": "219099998"}], twin.asked(rules=rules))
    assert (found.found.tolist(), found.rows.tolist()) == ([1], [1])


def test_leap_days_and_unknown_digits_in_one_batch() -> None:
    """Both sorts of ranges that are filtered lose records, and each inquiry keeps its own."""
    days = ["19800228", "19800301", "19810228", "19810301", "19800630", "19800730", "1980-02-XX", "1980-07-XX"]
    reference: list[Row] = [{**RECORD, "DOB": day} for day in days]
    inquiries: list[Row] = [{**SMITH, "DOB": day} for day in ("19800229", "1980-06-XX", "19800229")]
    rules = msgspec.structs.replace(twin.PRESETS["ncic_qw"], years=1)
    found = screened(inquiries, reference, twin.asked(rules=rules))
    wanted = [(0, 2), (0, 3), (0, 6), (1, 4), (2, 2), (2, 3), (2, 6)]
    assert sorted(zip(found.row.tolist(), found.reference_row.tolist(), strict=True)) == wanted


@pytest.mark.parametrize(
    ("asked", "recorded", "hit"),
    [
        ("SMITH, JOHN", "SMYTHE, PETER", True),
        ("Smith,John", "SCHMIDT, J", True),
        ("SMITH, JOHN", "SMITHERS, JOHN", False),
        ("OBRIEN, PAT", "O'BRIEN, PAT", True),
        ("MARTINEZ-LOPEZ, A", "MARTINEZ LOPEZ, A", True),
        ("JOHN, SMITH", "SMITH, JOHN", False),
    ],
)
def test_surnames_are_compared_by_their_sound(asked: str, recorded: str, hit: bool) -> None:
    assert is_hit({**SMITH, "NAM": asked}, {**RECORD, "NAM": recorded}, twin.PRESETS["ncic_qw"]) is hit


def test_custom_searches() -> None:
    rules = twin.PRESETS["ncic_qw"]
    exchanged = {**SMITH, "NAM": "JOHN, SMITH"}
    assert is_hit(exchanged, RECORD, msgspec.structs.replace(rules, names_exchanged=True))
    other_day: Row = {**SMITH, "DOB": "19801206"}
    record: Row = {**RECORD, "DOB": "19800612"}
    assert not is_hit(other_day, record, rules)
    assert is_hit(other_day, record, msgspec.structs.replace(rules, month_day_exchanged=True))
    assert not is_hit({**SMITH, "DOB": "19811206"}, record, msgspec.structs.replace(rules, month_day_exchanged=True))


def test_an_identifier_is_searched_alone() -> None:
    stranger: Row = {**RECORD, "NAM": "DOE, JANE", "DOB": "19500101", "SEX": "F", "RAC": "B", "SOC": "123456789"}
    asked: Row = {**SMITH, "SOC": "123-45-6789"}
    alone = screened([asked], [stranger, RECORD], twin.asked("ncic_qw"))
    assert alone.reference_row.tolist() == [0]
    assert alone.best.tolist() == [HitClass.IDENTIFIER]
    assert screened([asked], [stranger, RECORD], twin.asked(rules=BOTH_WAYS)).reference_row.tolist() == [0, 1]


@pytest.mark.parametrize("placeholder", ["000000000", "666123456", "999999999", "123006789", "123450000", "XXXXX6789"])
def test_a_number_that_identifies_nobody_does_not_hide_a_name(placeholder: str) -> None:
    assert is_hit({**SMITH, "SOC": placeholder}, RECORD, twin.PRESETS["ncic_qw"])
    assert is_hit({**SMITH, "FBI": "UNKNOWN"}, RECORD, twin.PRESETS["ncic_qw"])


def test_a_longer_number_is_another_one() -> None:
    """Even where no record has one of its length, and a whole word of memory agrees."""
    record: Row = {**RECORD, "NAM": "DOE, JANE", "FBI": "12345678"}
    assert not is_hit({**SMITH, "FBI": "123456789"}, record, twin.PRESETS["ncic_qw"])
    assert is_hit({**SMITH, "FBI": "12345678"}, record, twin.PRESETS["ncic_qw"])


def test_two_unknown_numbers_that_look_alike_are_no_identifier() -> None:
    record: Row = {**RECORD, "NAM": "DOE, JANE", "SOC": "XXXXX6789"}
    assert not is_hit({**SMITH, "SOC": "XXXXX6789"}, record, twin.PRESETS["ncic_qw"])


def test_a_licence_counts_with_its_state() -> None:
    columns = ("NAM", "OLN", "OLS", "file_code")
    rules = msgspec.structs.replace(twin.PRESETS["ncic_qw"], identifiers=("OLN",))
    reference: list[Row] = [
        {"OLN": "D-123 45", "OLS": state, "NAM": None, "file_code": "W"} for state in ("TX", "CA", None)
    ]
    inquiries: list[Row] = [{"OLN": "D12345", "OLS": state} for state in ("CA", "NV", None)]
    index = twin.index(reference, columns)
    found = run(twin.batch("person/1", inquiries, ("OLN", "OLS")), index, twin.asked(rules=rules), twin.MODEL)
    assert found.reference_row.tolist() == [1]
    assert found.outcome.tolist() == [Outcome.HIT, Outcome.NO_HIT, Outcome.NOT_SCREENABLE]
    without = run(twin.batch("person/1", inquiries, ("OLN",)), index, twin.asked(rules=rules), twin.MODEL)
    assert without.outcome.tolist() == [Outcome.NOT_SCREENABLE] * 3


def test_a_record_that_is_found_in_several_ways_is_one_hit() -> None:
    rules = msgspec.structs.replace(
        twin.PRESETS["ncic_qw"], identifiers_alone=False, month_day_exchanged=True, names_exchanged=True
    )
    record: Row = {**RECORD, "NAM": "SMITH, SMITH", "DOB": "19800606", "SOC": "123456789", "FBI": "99A"}
    asked: Row = {**SMITH, **{name: record[name] for name in PERSON}}
    assert screened([asked], [record], twin.asked(rules=rules)).found.tolist() == [1]


def test_an_inquiry_that_is_too_broad() -> None:
    reference: list[Row] = [{**RECORD, "DOB": f"1980-06-{day:02d}"} for day in range(1, 21)]
    inquiries: list[Row] = [{**SMITH, "DOB": "1980-06-XX"}, SMITH]
    found = screened(inquiries, reference, twin.asked("ncic_qw"), candidates=19)
    assert found.outcome.tolist() == [Outcome.NOT_SCREENABLE, Outcome.HIT]
    assert found.found.tolist() == [0, 1]
    assert found.row.tolist() == [1]
    assert found.status.codes.tolist() == [Code.TOO_MANY_CANDIDATES]
    assert found.status.status.tolist() == [Status.NOT_USABLE, Status.OK]
    assert screened(inquiries, reference, twin.asked("ncic_qw"), candidates=20).found.tolist() == [20, 1]
    with refused(Reason.LIMIT_EXCEEDED):
        screened(inquiries, reference, twin.asked("ncic_qw"), comparisons=20)
