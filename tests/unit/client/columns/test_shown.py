"""Encrypted columns where people look: named as such, never shown, never counted as if they were values."""

import json
from pathlib import Path

import pyarrow as pa
import pytest
from click.testing import CliRunner, Result

from cji_attestation import AZURE_US
from cji_client.errors import Unverified
from cji_client.result import _require_columns
from cji_client.verbs.report_file import _shown
from cji_core.command import build
from tests.support.cells_of_form import cell, written

EXPLAINED = """
[[operations]]
kind = "deidentify"
project = "study"

[operations.columns]
record_id = "keep"
last = { do = "hmac_token", domain = "name" }
SOC = "keep"
SEX = "keep"
"""
COUNTED = '\n[[operations]]\nkind = "link"\n'


@pytest.fixture
def records(tmp_path: Path) -> Path:
    written(tmp_path, ("SSN", "SOC"))
    lines = ["record_id,last,SEX,SSN", *(f"{n},DOE{n % 3},F,{cell(n % 2).hex()}" for n in range(40))]
    (tmp_path / "people.csv").write_text("\n".join(lines))
    return tmp_path / "people.csv"


def cji(records: Path, operations: str, *command: str) -> Result:
    spec = records.with_name("job.toml")
    spec.write_text(f'[input]\nschema = "person/1"\ncolumns = "columns.toml"\n{operations}')
    return CliRunner().invoke(build(AZURE_US), [*command, "--spec", str(spec)], catch_exceptions=False)


def test_explain_names_what_it_cannot_measure(records: Path) -> None:
    found = cji(records, EXPLAINED, "job", "explain", str(records))
    assert found.exit_code == 0, found.output
    assert "SOC: encrypted, so nothing is measured of it here\n" in found.output
    assert "  SEX: 1 values" in found.output
    assert "  SOC:" not in found.output
    answer = json.loads(cji(records, EXPLAINED, "job", "explain", str(records), "--json").output)
    assert answer["sealed"] == ["SOC"]
    assert [one["columns"] for one in answer["alone"]] == [["record_id"], ["SEX"]]


def test_pairs_of_encrypted_columns_are_not_counted(records: Path) -> None:
    found = cji(records, COUNTED, "link", "count", str(records))
    assert found.exit_code == 2
    assert "pairs cannot be counted here: SOC of the records are encrypted" in found.output
    assert "Send the job" in found.output


def test_a_page_shows_sealed_for_each_cell() -> None:
    batch = pa.record_batch({"id": ["1", "2"], "SOC": pa.array([cell(1), None], pa.binary())})
    [shown] = _shown(iter([batch]), frozenset({"SOC"}))
    assert shown.to_pydict() == {"id": ["1", "2"], "SOC": ["sealed", None]}
    assert list(_shown(iter([batch]), frozenset())) == [batch]


def test_an_output_in_clear_that_was_to_be_sealed_is_refused() -> None:
    readable = pa.schema({"id": pa.string(), "token": pa.string()})
    _require_columns(readable, "result", frozenset(), numbered=False)
    _require_columns(
        pa.schema({"id": pa.string(), "token": pa.binary()}), "result", frozenset({"token"}), numbered=False
    )
    with pytest.raises(Unverified, match="its column token is not sealed") as caught:
        _require_columns(readable, "result", frozenset({"token"}), numbered=False)
    assert caught.value.check == "result"
