"""Dissemination ledgers on disk, searched by subject."""

import csv
import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.csv
import pytest
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st

from cji_audit.dissemination import (
    DisseminationLedgerError,
    LedgerCountError,
    Subject,
    dissemination_ledgers,
    find_disclosures,
)
from cji_audit.verbs.ledger import Inspected
from cji_core.command import build
from cji_core.command.output import write_batches
from cji_core.operations.disseminate import LEDGER
from cji_core.trail import UsedColumnKey, UsedColumnKeys
from tests.support.json_answers import answered
from tests.support.receipts import CLAIMS, signed_receipt

COLUMNS = LEDGER.schema.arrow.names


def row(subject: str, **changes: Any) -> dict[str, Any]:
    return {
        "subject": subject,
        "SID": f"S-{subject}",
        "FBI": None,
        "file": None,
        "time": "2026-03-01T12:00:00Z",
        "purpose": "C",
        "requestor": "Det. Muñoz",
        "requesting_ori": "WI0130000",
        "secondary_recipient": None,
        "recipient_class": "criminal_justice",
        "rows": 3,
    } | changes


def written(path: Path, *rows: dict[str, Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    schema = LEDGER.schema.arrow
    encoded = [
        {
            name: value.encode() if isinstance(value, str) and pa.types.is_binary(schema.field(name).type) else value
            for name, value in each.items()
        }
        for each in rows
    ]
    table = pa.Table.from_pylist(encoded, schema=schema)
    batches = table.to_batches() or [pa.RecordBatch.from_pylist([], schema=schema)]
    write_batches(path, iter([batches[0].slice(0, 0), *batches]))
    return path


def ledger(*arguments: object) -> Result:
    return CliRunner().invoke(build(), ["ledger", *map(str, arguments)], catch_exceptions=False)


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".arrow"])
def test_every_format_says_the_same(tmp_path: Path, suffix: str) -> None:
    path = written(tmp_path / f"ledger{suffix}", row("a", file="W"), row("b"), row("a", time="2026-02-01T00:00:00Z"))
    found = find_disclosures([path], Subject(subject="a"))
    assert (found.ledgers, found.rows) == (1, 3)
    assert [(each.time, each.file, each.FBI, each.rows) for each in found.found] == [
        ("2026-02-01T00:00:00Z", None, None, 3),
        ("2026-03-01T12:00:00Z", "W", None, 3),
    ]


def stated(rows: int) -> str:
    """A receipt of a job with so many subjects."""
    return signed_receipt(volumes=msgspec.structs.replace(CLAIMS.volumes, subjects_out=rows))


@pytest.mark.parametrize("name", ["ledger.csv", "night.ledger.parquet"])
def test_a_ledger_has_the_rows_of_its_receipt(tmp_path: Path, name: str) -> None:
    """Red before: nobody compared the two."""
    path, who = written(tmp_path / name, row("a"), row("b")), Subject(subject="a")
    receipt = path.with_name(name.replace("ledger.csv", "receipt.jws").replace("ledger.parquet", "receipt.jws"))
    assert find_disclosures([path], who).compared == 0
    receipt.write_text(stated(2) + "\n")
    assert find_disclosures([path], who).compared == 1
    for rows in (1, 3):
        receipt.write_text(stated(rows) + "\n")
        with pytest.raises(LedgerCountError, match=f"subjects_out is {rows}, counted 2"):
            find_disclosures([path], who)
        found = ledger("find", tmp_path, "--subject", "b")
        assert (found.exit_code, found.stdout) == (3, "")
        assert "Do not answer from this ledger." in found.stderr
    used = UsedColumnKeys(statement_sha384="0a" * 48, keys=(UsedColumnKey(key_path="p", cek_sha384="0b" * 48),))
    withheld = msgspec.structs.replace(CLAIMS.volumes, rows_out=0, chri_rows_out=0, subjects_out=0)
    receipt.write_text(signed_receipt(volumes=withheld, column_keys=(used,)) + "\n")
    assert find_disclosures([path], who).compared == 0  # the receipt of a job with sealed columns states no rows
    for text in ("", "no receipt", "é"):
        receipt.write_text(text)
        with pytest.raises(LedgerCountError, match="cannot be read"):
            find_disclosures([path], who)


def test_ledgers_are_found_below_folders_and_by_name(tmp_path: Path) -> None:
    one = written(tmp_path / "a" / "ledger.csv", row("a"))
    two = written(tmp_path / "b" / "c" / "night.ledger.parquet", row("a"))
    other = written(tmp_path / "b" / "result.csv", row("a"))
    assert dissemination_ledgers([tmp_path]) == [one, two]
    assert dissemination_ledgers([other, tmp_path / "a"]) == [one, other]
    with pytest.raises(DisseminationLedgerError, match="does not exist"):
        dissemination_ledgers([tmp_path / "none"])
    again = tmp_path / "a" / ".." / "a"
    assert (
        len(dissemination_ledgers([tmp_path, again, one])) == 2
    )  # a row that counts twice is a disclosure that was none
    (tmp_path / "link").symlink_to(other.parent)
    with pytest.raises(DisseminationLedgerError, match="link is a link to a folder"):
        dissemination_ledgers([tmp_path])


def test_a_folder_that_cannot_be_read_refuses_the_search(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(tmp_path / "a" / "ledger.csv", row("a"))
    listed = os.scandir

    def scandir(path: str) -> Any:
        if str(path).endswith("closed"):
            raise PermissionError(13, "denied", str(path))
        return listed(path)

    (tmp_path / "closed").mkdir()
    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(DisseminationLedgerError, match="closed cannot be read"):
        dissemination_ledgers([tmp_path])


IDS = st.sampled_from(["a", "b", "0", "00", "é"])


@given(
    rows=st.lists(st.tuples(IDS, st.none() | IDS, st.none() | IDS, st.integers(1, 28)), max_size=12),
    who=st.tuples(st.none() | IDS, st.none() | IDS, st.none() | IDS).filter(any),
    since=st.integers(1, 28),
    until=st.integers(1, 28),
)
@settings(max_examples=60, deadline=None)
def test_the_search_equals_a_slow_one(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[tuple[str, str | None, str | None, int]],
    who: tuple[str | None, str | None, str | None],
    since: int,
    until: int,
) -> None:
    made = [row(s, SID=i, FBI=f, time=f"2026-03-{day:02d}T12:00:00Z") for s, i, f, day in rows]
    path = written(tmp_path_factory.mktemp("ledgers") / "ledger.csv", *made)
    found = find_disclosures(
        [path],
        Subject(subject=who[0], SID=who[1], FBI=who[2]),
        since=f"2026-03-{since:02d}",
        until=f"2026-03-{until:02d}",
    )
    with path.open(newline="", encoding="utf-8") as file:
        slow = [
            (each["time"], each["subject"])
            for each in csv.DictReader(file)
            if any(w is not None and each[name] == w for w, name in zip(who, ("subject", "SID", "FBI"), strict=True))
            and since <= int(each["time"][8:10]) < until
        ]
    assert sorted((each.time, each.subject) for each in found.found) == sorted(slow)


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (lambda data: data.replace(b'"rows"', b'"lines"'), "columns of ledger/1"),
        (lambda data: data.replace(b"2026-03-01T12:00:00Z", b"yesterday"), "a time"),
        (lambda data: data.replace(b",3\n", b",many\n"), "cannot be read"),
        (lambda data: data + b"x,y\n", "cannot be read"),
        (lambda data: b"\x00\xff", "cannot be read"),
        (lambda data: b"", "cannot be read"),
        (lambda data: data.replace(b'"a"', b"", 1), "a row without subject"),
    ],
    ids=["columns", "time", "number", "torn", "binary", "empty", "subject"],
)
def test_one_bad_ledger_refuses_the_whole_search(tmp_path: Path, damage: Any, why: str) -> None:
    good = written(tmp_path / "a" / "ledger.csv", row("a"))
    bad = written(tmp_path / "b" / "ledger.csv", row("a"))
    data = bad.read_bytes()
    bad.write_bytes(damage(data))
    assert bad.read_bytes() != data
    with pytest.raises(DisseminationLedgerError, match=why) as caught:
        find_disclosures([good, bad], Subject(subject="a"))
    assert str(bad) in str(caught.value)
    assert "Muñoz" not in str(caught.value)
    shown = ledger("find", tmp_path, "--subject", "a")
    assert shown.exit_code == 2
    assert "would look like one from all" in shown.output


def test_the_command_answers_in_words_and_json(tmp_path: Path) -> None:
    written(tmp_path / "one" / "ledger.csv", row("a", secondary_recipient="County Board"), row("b"))
    written(tmp_path / "two" / "ledger.parquet", row("c", SID="S-a", time="2026-04-01T00:00:00Z"))
    shown = ledger("find", tmp_path, "--subject", "a", "--sid", "S-a")
    assert shown.exit_code == 0
    lines = shown.stdout.splitlines()
    assert "purpose C  3 records to Det. Muñoz of WI0130000 (criminal_justice), passed on to County Board" in lines[0]
    assert lines[-1] == "2 disclosures in 2 ledgers with 3 rows, 0 of 2 compared with a receipt"
    only = json.loads(ledger("find", tmp_path, "--sid", "S-a", "--since", "2026-04-01", "--json").stdout)
    assert [each["subject"] for each in only["disclosures"]] == ["c"]
    assert ledger("find", tmp_path).exit_code == 2
    assert ledger("find", tmp_path / "one" / "ledger.csv", "--sid", "nobody").exit_code == 0


def test_a_report_for_inspection_is_written_once(tmp_path: Path) -> None:
    nasty = '</td><script>document.title="taken"</script>\u202e'
    written(tmp_path / "one" / "ledger.csv", row("a", requestor=nasty), row("b", requestor="nobody's"))
    out = tmp_path / "page.html"
    done = ledger("inspect", tmp_path, "--subject", "a", "--out", out, "--json")
    about = {
        "page": str(out),
        "data": str(out.with_suffix(".json")),
        "disclosures": 1,
        "ledgers": 1,
        "rows": 2,
        "compared": 0,
    }
    assert msgspec.to_builtins(answered(done, Inspected)) == about
    page = out.read_text(encoding="utf-8")
    assert "<script" not in page
    assert "⟨U+202E⟩" in page
    assert "nobody's" not in page
    assert out.stat().st_mode & 0o077 == 0
    assert json.loads(out.with_suffix(".json").read_text())["disclosures"][0]["requestor"] == nasty
    assert ledger("inspect", tmp_path, "--subject", "a", "--out", out).exit_code == 2


def test_an_empty_answer_is_a_page_too(tmp_path: Path) -> None:
    written(tmp_path / "one" / "ledger.csv", row("b"))
    out = tmp_path / "page.html"
    assert ledger("inspect", tmp_path, "--subject", "a", "--out", out).exit_code == 0
    assert "None of the ledgers" in out.read_text(encoding="utf-8")


def test_columns_of_the_ledger_are_those_of_the_operation(tmp_path: Path) -> None:
    path = written(tmp_path / "ledger.csv", row("a"))
    assert pyarrow.csv.read_csv(path).column_names == COLUMNS
    assert datetime.now(UTC).tzinfo is UTC
