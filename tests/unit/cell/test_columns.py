"""Jobs with sealed columns, whole: what operations see, what becomes of rows with faulty cells, what goes back sealed.

The cells are another writer's (`tests.support.cell_writer`). A job on sealed columns must be the job on plain ones.
"""

import secrets
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date

import pyarrow as pa
import pytest

from cji_core.errors import Reason, Refusal
from cji_core.format.columns import SqlType
from cji_core.format.job import LIMITS
from cji_core.format.records import Status, tagged
from cji_core.operations.deidentify import Deidentify, Mask
from cji_core.operations.status_codes import CellCode
from cji_operations.sealed_columns import MAX_SEEN, ColumnOpener
from cji_worker.cell.columns import JobColumns
from cji_worker.column_faults import CellsRefused
from tests.support.cell_writer import Cells, Value
from tests.support.column_jobs import ColumnJob, Statement, Table

IDENTITY, CONTACT = secrets.token_bytes(32), secrets.token_bytes(32)
PERSONS = Statement(
    columns={
        "last": Cells(cek=IDENTITY, kind="nvarchar(60)", deterministic=True),
        "first": Cells(cek=IDENTITY, kind="varchar(40) cp1252"),
        "DOB": Cells(cek=CONTACT, kind="date"),
        "SOC": Cells(cek=CONTACT, kind="char(9) cp1252", deterministic=True),
    }
)
ROWS: dict[str, Sequence[Value]] = {
    "record_id": ["a", "b", "c", "d", "e"],
    "last": ["GARZA", "O'NEIL", "PEÑA", None, "GARZA"],
    "first": ["Ana", None, "José", "Zoë", ""],
    "DOB": [date(1970, 1, 31), date(2001, 12, 1), None, date(1899, 2, 28), date(1970, 1, 31)],
    "SOC": ["123456789", "987654321", None, "123456789", "000000000"],
}
SEALED = ("last", "first", "DOB", "SOC")
KEEP = Deidentify(
    columns={"record_id": "keep", "last": "keep", "first": "keep", "DOB": "keep", "SOC": Mask(keep_last=4)}
)


def job(*tables: Table, keep: Deidentify = KEEP, statements: Sequence[Statement] = (PERSONS,)) -> ColumnJob:
    return ColumnJob(tables=tables, operations=[keep], statements=statements)


def plain(columns: dict[str, Sequence[Value]]) -> dict[str, Sequence[Value]]:
    """As a client sends the same records in plain text."""
    return {
        name: [f"{value:%Y%m%d}" if isinstance(value, date) else value for value in values]
        for name, values in columns.items()
    }


def sealed_rows(**written: Sequence[bytes | None]) -> Table:
    """The rows, sealed, but for columns that are written as they are here."""
    left = {name: values for name, values in ROWS.items() if name not in written}
    return Table(columns=left, sealed=SEALED, written=written)


def cells_of(name: str) -> list[bytes | None]:
    return [PERSONS.columns[name].cell(value) for value in ROWS[name]]


def refused(run: Callable[[], object]) -> Refusal:
    with pytest.raises(Refusal) as caught:
        run()
    return caught.value


def place(run: Callable[[], object], reason: Reason) -> tuple[int | None, int, int | None]:
    """(part, column, row) of the refusal."""
    refusal = refused(run)
    assert isinstance(refusal, CellsRefused), refusal
    assert refusal.reason is reason
    return refusal.place.part, refusal.place.column, refusal.place.row


@pytest.mark.parametrize("cuts", [(), (2,), (0, 1, 1, 4)])
def test_a_job_on_sealed_columns_is_the_job_on_plain_ones(cuts: Sequence[int]) -> None:
    sealed = job(Table(columns=ROWS, sealed=SEALED, cuts=cuts)).run()
    assert sealed == job(Table(columns=plain(ROWS), cuts=cuts), statements=()).run()
    assert sealed["row_status"]["status"].to_pylist() == [0] * 5


@pytest.mark.parametrize("sealed", [(), ("last",), ("DOB", "first")])
def test_sealed_and_plain_columns_stand_in_one_table(sealed: Sequence[str]) -> None:
    mixed = {name: ROWS[name] if name in sealed else values for name, values in plain(ROWS).items()}
    statements = [replace(PERSONS, columns={name: PERSONS.columns[name] for name in sealed})] if sealed else []
    assert job(Table(columns=mixed, sealed=sealed), statements=statements).run() == (
        job(Table(columns=plain(ROWS)), statements=()).run()
    )


FLAGGED = Statement(
    columns={
        "subject": Cells(cek=IDENTITY, kind="uniqueidentifier"),
        "sealed": Cells(cek=IDENTITY, kind="bit"),
        "cycle": Cells(cek=IDENTITY, kind="int", deterministic=True),
    }
)


def test_numbers_and_flags_are_opened_to_what_their_columns_have() -> None:
    from uuid import UUID

    subject = UUID("0f8fad5b-d9cb-469f-a165-70867728950e")
    columns: dict[str, Sequence[Value]] = {
        "subject": [subject, None],
        "sealed": [True, False],
        "cycle": [7, -1],
    }
    keep = Deidentify(columns={"subject": "keep", "sealed": "keep", "cycle": "keep"})
    table = Table(columns=columns, sealed=("subject", "sealed", "cycle"), schema="chri_event/1")
    out = job(table, keep=keep, statements=[FLAGGED]).run()["result"]
    assert out.to_pydict() == {"subject": [str(subject), None], "sealed": [True, False], "cycle": ["7", "-1"]}
    assert out.schema.types == [pa.utf8(), pa.bool_(), pa.utf8()]


def damaged(cell: bytes | None, at: int) -> bytes:
    assert cell is not None
    altered = bytearray(cell)
    altered[at] ^= 1
    return bytes(altered)


RANDOM_LAST = replace(PERSONS.columns["last"], deterministic=False)
DERIVED_DOB = replace(PERSONS.columns["DOB"], deterministic=True)
FAULTS: dict[str, tuple[str, Callable[[bytes | None], bytes | None], CellCode]] = {
    "version": ("last", lambda cell: damaged(cell, 0), CellCode.CELL_VERSION),
    "first byte of the MAC": ("first", lambda cell: damaged(cell, 1), CellCode.CELL_MAC),
    "last byte of the MAC": ("last", lambda cell: damaged(cell, 32), CellCode.CELL_MAC),
    "IV": ("DOB", lambda cell: damaged(cell, 40), CellCode.CELL_MAC),
    "ciphertext": ("SOC", lambda cell: damaged(cell, -1), CellCode.CELL_MAC),
    "cut off": ("first", lambda cell: (cell or b"")[:-1], CellCode.CELL_LENGTH),
    "cut to whole blocks": ("first", lambda cell: (cell or b"")[:49], CellCode.CELL_LENGTH),
    "empty": ("last", lambda _: b"", CellCode.CELL_LENGTH),
    "a plain value": ("last", lambda _: b"GARZA", CellCode.CELL_LENGTH),
    "of another key": ("SOC", lambda _: replace(PERSONS.columns["SOC"], cek=IDENTITY).cell("1"), CellCode.CELL_MAC),
    "of another type": ("DOB", lambda _: PERSONS.columns["DOB"].of_plaintext(bytes(8)), CellCode.CELL_FORM),
    "no day": ("DOB", lambda _: PERSONS.columns["DOB"].of_plaintext(b"\xff\xff\xff"), CellCode.CELL_RANGE),
    "too long": ("SOC", lambda _: PERSONS.columns["SOC"].cell("1234567890"), CellCode.CELL_TOO_LONG),
    "half a character": ("last", lambda _: PERSONS.columns["last"].of_plaintext(b"\0\xd8"), CellCode.CELL_TEXT),
    "randomized in a deterministic column": ("last", lambda _: RANDOM_LAST.cell("X"), CellCode.CELL_IV_RANDOM),
    "deterministic in a randomized column": (
        "DOB",
        lambda _: DERIVED_DOB.cell(date(1970, 1, 31)),
        CellCode.CELL_IV_DERIVED,
    ),
}


@pytest.mark.parametrize("cuts", [(), (1, 4)])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_row_with_a_faulty_cell_is_left_out_and_has_the_code(fault: str, cuts: Sequence[int]) -> None:
    name, damage, code = FAULTS[fault]
    cells = cells_of(name)
    cells[4] = damage(cells[4])
    out = job(replace(sealed_rows(**{name: cells}), cuts=cuts)).run()
    fewer = {column: values[:4] for column, values in plain(ROWS).items()}
    assert out["result"].select(list(KEEP.columns)) == job(Table(columns=fewer), statements=()).run()["result"]
    status = out["row_status"]
    assert status["row"].to_pylist() == [0, 1, 2, 3, 4]
    assert status["status"].to_pylist() == [Status.OK] * 4 + [Status.NOT_USABLE]
    assert status["codes"].to_pylist() == [[]] * 4 + [[code]]
    sent = sealed_rows(**{name: cells}).batch([PERSONS]).schema.names
    assert status["columns"].to_pylist() == [[]] * 4 + [[sent.index(name)]]


def test_every_fault_of_a_row_is_told_and_the_row_counts_once() -> None:
    last, dob = cells_of("last"), cells_of("DOB")
    last[0], dob[0], dob[3] = damaged(last[0], 1), damaged(dob[0], 2), b""
    out = job(sealed_rows(last=last, DOB=dob)).run()
    assert out["result"]["record_id"].to_pylist() == ["b", "c", "e"]
    assert out["row_status"]["status"].to_pylist() == [3, 0, 0, 3, 0]
    assert out["row_status"]["codes"].to_pylist() == [[953, 953], [], [], [951], []]
    assert out["row_status"]["columns"].to_pylist() == [[3, 4], [], [], [4], []]


def test_a_cell_that_was_copied_is_a_warning() -> None:
    first = cells_of("first")
    first[4] = first[0]
    out = job(sealed_rows(first=first)).run()
    assert out["result"]["first"].to_pylist() == ["Ana", None, "José", "Zoë", "Ana"]
    assert out["row_status"]["status"].to_pylist() == [0, 0, 0, 0, Status.WARNED]
    assert out["row_status"]["codes"].to_pylist()[4] == [CellCode.CELL_REPEATED]


def test_columns_share_the_memory_for_cells_that_may_come_again() -> None:
    assert (
        JobColumns(job(Table(columns=ROWS, sealed=SEALED)).header(), [IDENTITY, CONTACT])._remembered == MAX_SEEN // 4
    )
    kind, cells = SqlType.parse("date"), pa.array(cells_of("DOB")[:2])
    opener = ColumnOpener(kind, kind.format, deterministic=False, cek=CONTACT, target=pa.utf8(), remembered=1)
    codes = [opener.open(cells.slice(row, 1)).codes.tolist() for row in (0, 1, 0, 1)]
    assert codes == [[0], [0], [CellCode.CELL_REPEATED], [0]]


@pytest.mark.parametrize("cuts", [(), (1,), (2,), (3,)])
@pytest.mark.parametrize("name", SEALED)
def test_a_column_that_no_cell_of_opens_refuses_the_job(name: str, cuts: Sequence[int]) -> None:
    other = replace(PERSONS.columns[name], cek=secrets.token_bytes(32))
    table = sealed_rows(**{name: [None, *(other.cell(value) for value in ROWS[name][1:])]})
    first = next(row for row, value in enumerate(ROWS[name]) if row and value is not None)
    part = sum(cut <= first for cut in cuts)
    expected = (part, sorted(SEALED).index(name), first - ([0, *cuts][part]))
    assert place(job(replace(table, cuts=cuts)).run, Reason.COLUMN_KEY_WRONG) == expected


WHOLE: dict[str, tuple[str, Callable[[Value], bytes | None], Reason]] = {
    "values that were never sealed": ("last", lambda value: str(value).encode(), Reason.COLUMN_KEY_WRONG),
    "all cut off": ("last", lambda value: (PERSONS.columns["last"].cell(value) or b"")[:-1], Reason.COLUMN_KEY_WRONG),
    "of another type": ("DOB", lambda _: PERSONS.columns["DOB"].of_plaintext(bytes(8)), Reason.COLUMN_CELL_INVALID),
    "all randomized": ("last", RANDOM_LAST.cell, Reason.COLUMN_CELL_INVALID),
}


@pytest.mark.parametrize("how", WHOLE)
def test_a_column_without_a_good_cell_refuses_the_job(how: str) -> None:
    name, write, reason = WHOLE[how]
    cells = [None if value is None else write(value) for value in ROWS[name]]
    assert place(job(sealed_rows(**{name: cells})).run, reason) == (0, sorted(SEALED).index(name), 0)


def test_another_key_and_cut_off_cells_are_no_good_cell() -> None:
    other = replace(PERSONS.columns["SOC"], cek=IDENTITY)
    cells = [None, b"", other.cell("1"), b"\2" * 65, None]
    assert place(job(sealed_rows(SOC=cells)).run, Reason.COLUMN_KEY_WRONG) == (0, sorted(SEALED).index("SOC"), 1)


def test_a_key_that_is_not_the_columns_refuses_the_job() -> None:
    wrong = replace(PERSONS, ceks={CONTACT: secrets.token_bytes(32)})
    run = job(Table(columns=ROWS, sealed=SEALED), statements=[wrong]).run
    assert place(run, Reason.COLUMN_KEY_WRONG) == (0, sorted(SEALED).index("DOB"), 0)


def test_one_cell_that_opens_shows_that_the_key_is_right() -> None:
    other = replace(PERSONS.columns["last"], cek=secrets.token_bytes(32))
    cells = [PERSONS.columns["last"].cell("ROE"), *(other.cell("X") for _ in range(4))]
    out = job(replace(sealed_rows(last=cells), cuts=(1,))).run()
    assert out["row_status"]["status"].to_pylist() == [0, 3, 3, 3, 3]
    assert out["result"]["last"].to_pylist() == ["ROE"]


def test_a_column_without_cells_has_no_wrong_key() -> None:
    wrong = replace(PERSONS, ceks={CONTACT: secrets.token_bytes(32)})
    empty: dict[str, Sequence[Value]] = {**ROWS, "DOB": [None] * 5, "SOC": [None] * 5}
    out = job(Table(columns=empty, sealed=SEALED), statements=[wrong]).run()
    assert out["result"]["DOB"].null_count == 5
    assert out["row_status"]["status"].to_pylist() == [0] * 5


def test_no_rows_is_a_valid_job() -> None:
    none: dict[str, Sequence[Value]] = {name: [] for name in ROWS}
    out = job(Table(columns=none, sealed=SEALED)).run()
    assert out["result"].num_rows == out["row_status"].num_rows == 0
    assert out["result"].schema.types == [pa.utf8()] * 5


def test_a_sealed_column_that_is_not_there_is_refused() -> None:
    left: dict[str, Sequence[Value]] = {name: values for name, values in ROWS.items() if name != "SOC"}
    assert refused(job(Table(columns=left, sealed=SEALED)).run).reason is Reason.SCHEMA_MISMATCH


def test_text_in_a_sealed_column_is_refused() -> None:
    with_text = replace(PERSONS, columns={**PERSONS.columns, "record_id": Cells(cek=CONTACT, kind="int")})
    table = Table(columns=ROWS, sealed=SEALED)
    assert refused(_declared(table, "record_id", with_text).run).reason is Reason.SCHEMA_MISMATCH


def _declared(table: Table, name: str, statement: Statement) -> ColumnJob:
    """A job whose header also has this column among the sealed ones, which was sent as text."""

    class Declared(Table):
        @property
        def part(self):  # type: ignore[no-untyped-def]
            return replace(super().part, sealed_columns=tuple(sorted((*self.sealed, name))))

    return job(Declared(columns=table.columns, sealed=table.sealed), statements=[statement])


def test_a_type_that_no_value_of_the_column_has_is_refused() -> None:
    columns: dict[str, Sequence[Value]] = {"subject": ["s"], "sealed": [b"x"]}
    statement = Statement(columns={"sealed": Cells(cek=IDENTITY, kind="varbinary(16)")})
    table = Table(columns=columns, sealed=("sealed",), schema="chri_event/1")
    keep = Deidentify(columns={"subject": "keep", "sealed": "keep"})
    assert refused(job(table, keep=keep, statements=[statement]).run).reason is Reason.SCHEMA_MISMATCH


def test_rows_are_counted_before_they_are_opened() -> None:
    assert refused(lambda: job(Table(columns=ROWS, sealed=SEALED)).run(max_rows=4)).reason is Reason.POLICY_DENIED
    assert job(Table(columns=ROWS, sealed=SEALED)).run(max_rows=5)["result"].num_rows == 5


@pytest.mark.parametrize("declared", [4, 5])
def test_declared_rows_are_those_that_came_in(declared: int) -> None:
    last = cells_of("last")
    last[0] = b""
    run = job(replace(sealed_rows(last=last), rows_declared=declared)).run
    if declared == 5:
        assert run()["result"].num_rows == 4
    else:
        assert refused(run).reason is Reason.SCHEMA_MISMATCH


TEXTS = Statement(columns={"SMT": Cells(cek=IDENTITY, kind="varchar(max) cp1252")})


def long_texts(*texts: str) -> ColumnJob:
    table = Table(columns={"SMT": texts}, sealed=("SMT",))
    return job(table, keep=Deidentify(columns={"SMT": "keep"}), statements=[TEXTS])


def test_long_values_are_opened_a_few_at_a_time() -> None:
    """More than a batch may have in plain text, and no more than that in cells: a euro sign has three bytes."""
    texts = [f"{number}" + "\u20ac" * 900_000 for number in range(12)]
    assert long_texts(*texts).run()["result"]["SMT"].to_pylist() == texts


def test_a_value_longer_than_a_batch_ends_the_job() -> None:
    assert refused(long_texts("\u20ac" * 6_000_000).run).reason is Reason.LIMIT_EXCEEDED


def test_a_batch_of_many_rows_is_opened_in_pieces_and_whole() -> None:
    rows = 40_000
    last = [f"L{number}" for number in range(rows)]
    cells = [PERSONS.columns["last"].cell(value) for value in last]
    cells[20_000] = damaged(cells[20_000], 9)
    schema = tagged("person/1", [pa.field("last", pa.binary())])
    batch = pa.RecordBatch.from_arrays([pa.array(cells, pa.binary())], schema=schema)
    header = job(Table(columns={"last": ["A"]}, sealed=("last",))).header()
    found = list(JobColumns(header, [IDENTITY, CONTACT]).of_input(0).open(batch))
    assert len(found) > 2
    assert [value for rows in found for value in rows.batch["last"].to_pylist()] == last[:20_000] + last[20_001:]
    assert [len(rows.status.status) if rows.status else rows.batch.num_rows for rows in found] == [16384, 16384, 7232]


def test_padding_makes_no_batch_too_large() -> None:
    """Of one batch of short cells, the blanks behind its values may be more than a batch may have."""
    rows, text = 16_384, "A".ljust(4000)
    stated = Statement(columns={"last": Cells(cek=IDENTITY, kind="nvarchar(60)")}, types={"last": "nchar(4000)"})
    cells = pa.array([stated.columns["last"].cell("A")] * rows, pa.binary())
    batch = pa.RecordBatch.from_arrays([cells], schema=tagged("person/1", [pa.field("last", pa.binary())]))
    header = job(Table(columns={"last": ["A"]}, sealed=("last",)), statements=[stated]).header()
    found = JobColumns(header, [IDENTITY]).of_input(0).open(batch)
    sizes = [(each.batch.num_rows, each.batch.nbytes, set(each.batch["last"].to_pylist())) for each in found]
    assert sum(count for count, _, _ in sizes) == rows
    assert max(size for _, size, _ in sizes) <= LIMITS.batch_bytes
    assert set.union(*(values for _, _, values in sizes)) == {text}


def test_nothing_follows_a_faulty_cell_where_all_must_be_good() -> None:
    schema = tagged("person/1", [pa.field("last", pa.binary())])
    cells = [PERSONS.columns["last"].cell("A"), b"", PERSONS.columns["last"].cell("B")]
    header = job(Table(columns={"last": ["A"]}, sealed=("last",))).header()
    found = JobColumns(header, [IDENTITY, CONTACT]).of_input(0)
    batches = [pa.RecordBatch.from_arrays([pa.array([cell], pa.binary())], schema=schema) for cell in cells]
    assert [piece["last"].to_pylist() for batch in batches for piece in found.open_good(batch)] == [["A"]]
