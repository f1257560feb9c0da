"""`screen` is equal to its slow twin, which compares every inquiry with every record."""

import msgspec
import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from cji_core.format.records import RowStatus, Status
from cji_core.operations.screen import HITS, OUTCOMES, Code
from cji_core.operations.tables.screening import Rules
from cji_operations.screen import run
from tests.reference import screen as twin
from tests.support.accents import accented_twins

NAMES = ("NAM", "last", "first", "middle", "suffix")
COLUMNS = (*NAMES, "DOB", "SEX", "RAC", "SOC", "FBI", "MNU", "SID", "OLN", "OLS")
HOTFILE = (*COLUMNS, "file_code", "NIC", "EXL")
SURNAMES = (
    "SMITH",
    "SMYTHE",
    "smith",
    "Schmidt",
    "O'BRIEN",
    "OBRIEN",
    "O BRIEN",
    "JOHN",
    "LEE",
    "LEIGH",
    "Ñandú",
    "NANDU",
    "nándu\N{COMBINING TILDE}",
    "Straße",
    "STRASSE",
    "李",
    "Иванов",
    "ИВАНОВ",
    "IVANOV",
)
GIVEN = ("JOHN", "Jon", "JACK", "WILLIAM", "BILL", "J", "W", "SMITH", "MARY-ANN", "MARYANN", "José", "JOSE", "JOSÉ")
DATES = (
    *("19800229", "1980-02-29", "19810228", "19810301", "19790228", "19840228", "19840229", "20000229", "19000228"),
    *("19801203", "19800312", "19810312", "19830312", "19800303"),
    *("1980-02-XX", "198002XX", "XXXX0229", "19XX-02-28", "1980XXXX", "19810X1X", "198XX301", "X981XX12"),
    *("XX", "XXXXXXXX", "19810229", "19801340", "nonsense", ""),
)
SOCIALS = (
    "123456789",
    "123-45-6789",
    "123456798",
    "123456780",
    "xxxxx6789",
    "XXXXX6789",
    "000000000",
    "666123456",
    "1",
)
NUMBERS = ("12345A", "12345a", "12-345A", "UNKNOWN", "0", "9X9", "123456789012345678901234567890123")


def maybe(*values: str) -> st.SearchStrategy[str | None]:
    return st.one_of(st.none(), st.sampled_from(values))


@st.composite
def people(draw: st.DrawFn) -> dict[str, str | None]:
    last, first = draw(maybe(*SURNAMES)), draw(maybe(*GIVEN))
    row = dict[str, str | None].fromkeys(COLUMNS)
    if last is not None:
        last += draw(st.sampled_from(["", "", " JR", " iii", " A B Sr.", " A B C JR", " JR X", "  II "]))
    if draw(st.booleans()):
        row |= {"last": last, "first": first}
        row |= {"middle": draw(maybe("ALLEN", "A", "B Q", " ", "2ND")), "suffix": draw(maybe("JR", "Jr.", "2nd", "V"))}
    elif last is not None:
        behind = draw(
            st.sampled_from(["", " Q JR", " ALLEN", " Allen James III", " A B C IV", " JR", ", SR.", " V", " ,"])
        )
        row["NAM"] = last + draw(st.sampled_from([",", ", "])) + (first or "") + behind
        if draw(st.integers(0, 9)) == 0:
            row["NAM"] = last  # no comma, so no name
    row |= {
        "DOB": draw(maybe(*DATES)),
        "SEX": draw(maybe("M", "F", "U", "m", "X", "MF")),
        "RAC": draw(maybe("W", "B", "A", "I", "U", "H", "WW")),
        "SOC": draw(maybe(*SOCIALS)),
    }
    for kind in ("FBI", "MNU", "SID", "OLN", "OLS"):
        row[kind] = draw(st.one_of(st.none(), st.none(), st.sampled_from(NUMBERS)))
    return row


@st.composite
def records(draw: st.DrawFn) -> dict[str, str | None]:
    return draw(people()) | {
        "file_code": draw(maybe("W", "M", "T", "Q")),
        "NIC": draw(maybe("W1", "W2", "W3", "")),
        "EXL": None,
    }


kinds = st.lists(st.sampled_from(twin.KINDS), unique=True).map(tuple)
rules = st.one_of(
    st.sampled_from(list(twin.PRESETS.values())),
    st.builds(
        msgspec.structs.replace,
        st.sampled_from(list(twin.PRESETS.values())),
        identifiers=kinds,
        identifiers_alone=st.booleans(),
        years=st.integers(0, 4),
        month_day_exchanged=st.booleans(),
        names_exchanged=st.booleans(),
    ),
)
options = st.fixed_dictionaries(
    {
        "max_hits": st.integers(1, 4),
        "min_score": st.one_of(st.none(), st.sampled_from([-10.0, 10.0, 20.0])),
        "include_restricted": st.booleans(),
    }
)


@settings(max_examples=200, deadline=None)
@given(st.lists(people(), max_size=8), st.lists(records(), max_size=25), rules, options, st.integers(1, 30))
def test_equal_to_the_twin(
    inquiries: list[dict[str, str | None]],
    reference: list[dict[str, str | None]],
    rules: Rules,
    options: dict[str, object],
    cut: int,
) -> None:
    index = twin.index(reference, HOTFILE, cut=cut)
    parameters = twin.asked(rules=rules, **options)
    screened = run(twin.batch("person/1", inquiries, COLUMNS), index, parameters, twin.MODEL)
    outcomes, hits = screened.outcomes(5), screened.hits(5)
    outcomes.validate(full=True)
    hits.validate(full=True)
    assert outcomes.schema == OUTCOMES.arrow
    assert hits.schema == HITS.schema.arrow
    found = list[list[object]]()
    wanted_outcomes = list[list[object]]()
    for row, inquiry in enumerate(inquiries, 5):
        if not twin.searched(inquiry, rules):
            wanted_outcomes.append([row, "not_screenable", None, 0, 0])
            continue
        every = twin.screen(
            inquiry,
            reference,
            rules,
            include_restricted=parameters.include_restricted,
            min_score=parameters.min_score,
        )
        best = every[0].hit_class if every else None
        shown = every[: parameters.max_hits]
        wanted_outcomes.append([row, "hit" if every else "no_hit", best, len(every), len(shown)])
        for rank, hit in enumerate(shown, 1):
            record = reference[hit.row]
            restricted = record["file_code"] not in ("W", "M")
            found.append(
                [
                    row,
                    rank,
                    hit.hit_class,
                    round(hit.bits, 9),
                    hit.agreement,
                    hit.row,
                    hit.rows,
                    restricted,
                    record["NIC"],
                ]
            )
    assert [list(each.values()) for each in outcomes.to_pylist()] == wanted_outcomes
    assert [
        [
            *(each[name] for name in ("row", "rank", "class")),
            round(each["score"], 9),
            *(each[name] for name in ("agreement", "reference_row", "rows", "restricted")),
            None if each["NIC"] is None else each["NIC"].decode(),
        ]
        for each in hits.to_pylist()
    ] == found


@settings(max_examples=60, deadline=None)
@given(st.lists(people(), max_size=12), st.lists(records(), max_size=12), st.integers(1, 12))
def test_inquiries_are_independent_of_each_other(
    inquiries: list[dict[str, str | None]], reference: list[dict[str, str | None]], cut: int
) -> None:
    index = twin.index(reference, HOTFILE)
    parameters = twin.asked("ncic_qw_expanded_dob", include_restricted=True)
    batch = twin.batch("person/1", inquiries, COLUMNS)
    whole = run(batch, index, parameters, twin.MODEL)
    pieces = [
        (at, run(batch.slice(at, cut), index, parameters, twin.MODEL)) for at in range(0, max(len(inquiries), 1), cut)
    ]
    for of in ("outcomes", "hits"):
        cut_up = pa.Table.from_batches([getattr(piece, of)(at) for at, piece in pieces])
        assert cut_up.combine_chunks() == pa.Table.from_batches([getattr(whole, of)(0)]).combine_chunks()
    status = RowStatus.concatenate([piece.status for _, piece in pieces])
    assert status.status.tolist() == whole.status.status.tolist()
    assert status.codes.tolist() == whole.status.codes.tolist()


@settings(max_examples=60, deadline=None)
@given(st.lists(people(), max_size=12))
def test_every_row_has_a_status(inquiries: list[dict[str, str | None]]) -> None:
    parameters = twin.asked("iii_qh")
    screened = run(twin.batch("person/1", inquiries, COLUMNS), twin.index([], HOTFILE), parameters, twin.MODEL)
    assert sum(screened.status.counts()) == len(inquiries)
    missed = [not twin.searched(inquiry, twin.PRESETS["iii_qh"]) for inquiry in inquiries]
    assert (screened.status.status == Status.NOT_USABLE).tolist() == missed
    told = screened.status.rows[screened.status.codes == Code.NOT_SCREENABLE]
    assert told.tolist() == np.flatnonzero(missed).tolist()


@settings(max_examples=60, deadline=None)
@given(st.lists(records(), max_size=15))
def test_the_reference_has_a_status_too(reference: list[dict[str, str | None]]) -> None:
    every = msgspec.structs.replace(twin.PRESETS["iii_qh"], identifiers=twin.KINDS)
    status = twin.index(reference, HOTFILE).status
    lost = [
        not twin.listed(row, every) and not (twin.soundex(twin.surname(row)) and twin.dated(twin.date(row)))
        for row in reference
    ]
    assert (status.status == Status.NOT_USABLE).tolist() == lost
    unknown = status.rows[status.codes == Code.UNKNOWN_FILE].tolist()
    assert unknown == [i for i, row in enumerate(reference) if row["file_code"] not in ("W", "M", "T")]


def test_accented_names_are_found_as_often_as_others() -> None:
    columns = ("NAM", "DOB", "SEX", "file_code", "NIC")

    def found_of(*, lost: bool) -> int:
        """Inquiries, as an old system has the names, that find their record."""
        rows: list[dict[str, str | None]] = [
            {"NAM": f"{row['last']}, {row['first']}", "DOB": row["DOB"], "SEX": row["SEX"], "file_code": "W"}
            for row in accented_twins(300, 0, lost=lost).to_pylist()
        ]
        records = twin.index([row | {"NIC": f"W{at:09d}"} for at, row in enumerate(rows[::2])], columns)
        found = run(twin.batch("person/1", rows[1::2], columns[:3]), records, twin.asked("ncic_qw"), twin.MODEL)
        return int(np.count_nonzero(found.row == found.reference_row))

    assert found_of(lost=True) == found_of(lost=False) > 150
