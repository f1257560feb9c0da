"""Who gets what: the truth table, whole, against an obvious reading of the grants; the ledger; the tables."""

import datetime
from itertools import product
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cji_core.errors import Reason, StartupError
from cji_core.format.records import SCHEMAS, tagged
from cji_core.operations.disseminate import Code
from cji_core.operations.tables import Dissemination, Tables
from cji_core.operations.tables import load as load_tables
from cji_core.wire.v1 import worker_pb2 as wire
from tests.support.contexts import TABLES, context, planned, prepare_batch
from tests.support.paths import ROOT
from tests.support.refusals import refused

AS_OF = "2026-02-01"
CHRI = "chri_event/1"
FLAGS = ("sealed", "expunged", "juvenile", "non_conviction")
CLASSES = ("criminal_justice", "non_criminal_justice")


def operation(recipient: str = "criminal_justice", as_of: str = AS_OF, digest: bytes = b"") -> wire.Operation:
    return wire.Operation(disseminate=wire.Disseminate(recipient_class=recipient, as_of=as_of, tables_sha256=digest))


def events(rows: list[dict[str, Any]], columns: list[str] | None = None) -> pa.RecordBatch:
    names = columns or list(SCHEMAS[CHRI].columns)
    schema = tagged(CHRI, [pa.field(n, SCHEMAS[CHRI].columns[n].types[0]) for n in names])
    return pa.RecordBatch.from_arrays(
        [pa.array([row.get(f.name) for row in rows], f.type) for f in schema], schema=schema
    )


def event(**changes: Any) -> dict[str, Any]:
    clean: dict[str, Any] = {
        "subject": "S1",
        "ORI": "VA0000000",
        "cycle": "1",
        "event": "arrest",
        "date": "20250801",
        "charge": "burglary",
        "level": "F",
        "disposition": "convicted",
        "disposition_date": "20251001",
        **dict.fromkeys(FLAGS, False),
    }
    return clean | changes


def run(
    batch: pa.RecordBatch, schema_id: str, recipient: str, **options: Any
) -> tuple[Any, dict[str, list[dict[str, Any]]]]:
    op = prepare_batch(operation(recipient), schema_id, batch.schema, context(**options))
    applied = op.apply(batch)
    parts = {name: [r for b in batches for r in b.to_pylist()] for name, batches in op.finish().items()}
    names = [part.name for part in planned([operation(recipient)], schema_id).outputs]
    assert names == ["result", "row_status", *parts]
    return applied, parts


def test_the_whole_truth_table_of_events() -> None:
    """Every purpose x recipient class x flags (set, clear, unknown) x age and disposition."""
    dates = {
        "fresh": "20260101",
        "on the day": "20250201",
        "a day too old": "20250131",
        "partial": "2025-XX-XX",
        "none": None,
        "tomorrow": "20260202",
    }
    rows = [
        event(date=day, disposition=disposition, **dict(zip(FLAGS, flags, strict=True)))
        for flags in product((True, False, None), repeat=4)
        for day in dates.values()
        for disposition in ("convicted", "", None)
    ]
    batch = events(rows)
    seen = 0
    for purpose, recipient in product([*TABLES.dissemination.purposes, "Q"], CLASSES):
        applied, parts = run(batch, CHRI, recipient, purpose_code=purpose)
        grant = TABLES.dissemination.grant(purpose, recipient)
        expected = [i for i, row in enumerate(rows) if grant is not None and passes(row, set(grant.flags))]
        assert (applied.kept.tolist() if applied.kept is not None else None) == expected
        assert applied.batch.num_rows == len(expected)
        assert sum(applied.status.counts()) == len(rows)
        assert (applied.status.status == 0).nonzero()[0].tolist() == expected
        assert sum(row["rows"] for row in parts["withheld"]) == len(rows) - len(expected)
        assert [row["rows"] for row in parts["ledger"]] == ([len(expected)] if expected else [])
        seen += len(rows)
    assert seen == len(rows) * 12 * 2


def passes(row: dict[str, Any], granted: set[str]) -> bool:
    """An obvious reading."""
    if row["expunged"] is not False:
        return False
    if row["sealed"] is not False and "sealed" not in granted:
        return False
    if row["juvenile"] is not False and "juvenile" not in granted:
        return False
    stale = not row["disposition"] and not is_recent(row["date"])
    return "non_conviction" in granted or (row["non_conviction"] is False and not stale)


def is_recent(day: str | None) -> bool:
    if day is None or "X" in day:
        return False
    age = datetime.date.fromisoformat(AS_OF) - datetime.datetime.strptime(day, "%Y%m%d").date()
    return 0 <= age.days <= 365


@pytest.mark.parametrize(
    "purpose", [code for code, p in TABLES.dissemination.purposes.items() if not p.criminal_justice]
)
@pytest.mark.parametrize("flag", ["sealed", "expunged", "juvenile"])
def test_only_criminal_justice_gets_sealed_expunged_or_juvenile(purpose: str, flag: str) -> None:
    for recipient, value in product(CLASSES, (True, None)):
        applied, parts = run(events([event(**{flag: value})]), CHRI, recipient, purpose_code=purpose)
        assert applied.batch.num_rows == 0
        assert parts["ledger"] == []


def test_files_of_ncic() -> None:
    codes = ["A", "W", "T", "X", "O", "9", "", None]
    schema = tagged("hotfile/1", [pa.field(n, pa.utf8()) for n in ("NIC", "file_code", "NAM", "MKE", "SID")])
    batch = pa.RecordBatch.from_arrays(
        [
            pa.array([f"N{i}" for i in range(8)], pa.utf8()),
            pa.array(codes, pa.utf8()),
            pa.array(["DOE, J"] * 8, pa.utf8()),
            pa.array(["1"] * 8, pa.utf8()),
            pa.array(["S"] * 8, pa.utf8()),
        ],
        schema=schema,
    )
    applied, parts = run(batch, "hotfile/1", "criminal_justice", purpose_code="C")
    assert applied.kept.tolist() == [0, 1, 2, 3]
    assert [(row["subject"], row["file"], row["SID"]) for row in parts["ledger"]] == [
        (b"N0", b"A", b"S"),
        (b"N1", b"W", b"S"),
        (b"N2", b"T", b"S"),
        (b"N3", b"X", b"S"),
    ]
    applied, parts = run(batch, "hotfile/1", "non_criminal_justice", purpose_code="I")
    assert applied.kept.tolist() == [0, 1]
    assert applied.batch.schema.names == ["NIC", "NAM", "SID"]  # data of the class "case" are not granted
    assert {r["reason"]: r["rows"] for r in parts["withheld"] if r["rows"]} == {
        "WITHHELD_UNKNOWN_FILE": 4,
        "WITHHELD_RESTRICTED_FILE": 2,
    }
    assert applied.status.counts() == (2, 2, 0, 4)


def test_without_the_column_nothing_is_known() -> None:
    names = [n for n in SCHEMAS[CHRI].columns if n not in {"sealed", "date"}]
    batch = events([event(), event(disposition=None)], names)
    applied, _ = run(batch, CHRI, "criminal_justice", purpose_code="C")
    assert applied.kept.tolist() == [0, 1]  # whatever it would say is granted
    applied, _ = run(batch, CHRI, "criminal_justice", purpose_code="J")
    assert applied.kept.tolist() == []
    assert set(applied.status.codes.tolist()) == {Code.WITHHELD_SEALED}
    applied, _ = run(events([event()], ["event", *FLAGS]), CHRI, "criminal_justice", purpose_code="C")
    assert set(applied.status.codes.tolist()) == {Code.WITHHELD_NO_SUBJECT}


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["a", "b", "c", "", None]), st.booleans()), max_size=30), st.integers(1, 7))
def test_the_ledger_has_every_released_subject_once(rows: list[tuple[str | None, bool]], cut: int) -> None:
    batch = events([event(subject=subject, expunged=gone) for subject, gone in rows])
    op = prepare_batch(operation(), CHRI, batch.schema, context(secondary_recipient="Board"))
    released = [
        row["subject"]
        for first in range(0, len(rows), cut)
        for row in op.apply(batch.slice(first, cut)).batch.to_pylist()
    ]
    ledger = [row for b in op.finish()["ledger"] for row in b.to_pylist()]
    assert [(row["subject"].decode(), row["rows"]) for row in ledger] == [
        (subject, released.count(subject)) for subject in dict.fromkeys(released)
    ]
    for row in ledger:
        assert row["time"] == "2026-02-01T12:00:00Z"
        assert (row["purpose"], row["requestor"], row["requesting_ori"]) == ("C", "Det. Smith", "VA0000000")
        assert (row["secondary_recipient"], row["recipient_class"], row["FBI"]) == ("Board", "criminal_justice", None)


def test_a_sliced_batch_reads_its_own_bits() -> None:
    rows = [event(subject=f"s{i}", expunged=i % 3 == 0, sealed=None if i % 5 == 0 else False) for i in range(40)]
    whole = events(rows)
    for first in range(1, 12):
        applied, _ = run(whole.slice(first, 20), CHRI, "criminal_justice", purpose_code="J")
        assert [r["subject"] for r in applied.batch.to_pylist()] == [
            f"s{i}" for i in range(first, first + 20) if i % 3 and i % 5
        ]


@pytest.mark.parametrize(
    "bad",
    [
        operation(recipient=""),
        operation(recipient="Everybody"),
        operation(as_of="2026-02-30"),
        operation(as_of="20260201"),
        operation(digest=b"short"),
    ],
)
def test_bad_parameters(bad: wire.Operation) -> None:
    with refused(Reason.BAD_PARAMETERS):
        planned([bad], CHRI)


def test_the_tables_of_the_worker_decide_at_admission() -> None:
    planned([operation(digest=TABLES.sha256)], CHRI, TABLES)
    for bad in (operation(recipient="press"), operation(digest=bytes(32))):
        planned([bad], CHRI)
        with refused(Reason.BAD_PARAMETERS):
            planned([bad], CHRI, TABLES)
    with refused(Reason.SCHEMA_MISMATCH):
        planned([operation()], "person/1", TABLES)


# ---------------------------------------------------------------- tables


def shipped() -> str:
    return (ROOT / "core/cji_core/operations/tables/dissemination.toml").read_text()


def replaced(folder: Path, old: str, new: str) -> Tables:
    assert old in shipped()
    (folder / "dissemination.toml").write_text(shipped().replace(old, new, 1))
    return load_tables(folder)


def test_an_operator_replaces_a_table(tmp_path: Path) -> None:
    assert load_tables(tmp_path).sha256 == TABLES.sha256
    other = replaced(tmp_path, "non_conviction_after_days = 365", "non_conviction_after_days = 30")
    assert other.sha256 != TABLES.sha256
    batch = events([event(disposition=None, date="20260101")])
    for tables, left in ((TABLES, 1), (other, 0)):
        applied, _ = run(batch, CHRI, "non_criminal_justice", purpose_code="I", tables=tables)
        assert applied.batch.num_rows == left


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("flags = []", 'flags = ["sealed"]', "sealed or juvenile"),
        ("flags = []", 'flags = ["expunged"]', "expunged"),
        ('purposes = ["J"]', 'purposes = ["C"]', "two grants"),
        ('purposes = ["J"]', 'purposes = ["Q"]', "purpose Q"),
        ('purposes = ["J"]', "purposes = []", "length"),
        ('"Z"]', '"Z", "A"]', "both restricted"),
        ("version = 1", "version = 2", "version"),
        ("version = 1", "version = 1\nmore = 2", "more"),
        ("[purposes]", "[purposes", "."),
    ],
)
def test_a_table_that_makes_no_sense_stops_the_start(tmp_path: Path, old: str, new: str, says: str) -> None:
    with pytest.raises(StartupError, match=says):
        replaced(tmp_path, old, new)


def test_a_misspelt_table_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "disseminations.toml").write_text(shipped())
    with pytest.raises(StartupError, match="not a table"):
        load_tables(tmp_path)
    with pytest.raises(StartupError, match="cannot be read"):
        load_tables(tmp_path / "nowhere")


def test_every_purpose_that_is_granted_is_of_the_table() -> None:
    table = TABLES.dissemination
    assert isinstance(msgspec.to_builtins(table), dict)
    assert isinstance(table, Dissemination)
    assert {code for grant in table.grants for code in grant.purposes} == table.purposes.keys() - {"R"}
