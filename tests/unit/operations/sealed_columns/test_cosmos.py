"""Leaves of documents that @azure/cosmos sealed, and the marker before each cell, which nothing authenticates."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from cji_core.format.columns import ColumnFormat, SqlType
from cji_core.operations.status_codes import CellCode
from cji_operations.sealed_columns import ColumnOpener, OpenedValues, ValueUnfit
from tests.reference.sealed_columns import seal_cell
from tests.support.sealed_cells import CEK, binary, opener, sealer

MARKERS = {2: "bool", 3: "double", 4: "long", 5: "string"}


def leaves(sealed: Any, plain: Any) -> Iterator[tuple[str, Any]]:
    """(sealed, plain) of the leaves of a value."""
    if isinstance(sealed, dict):
        for name, value in sealed.items():
            yield from leaves(value, plain[name])
    elif isinstance(sealed, list):
        for one, other in zip(sealed, plain, strict=True):
            yield from leaves(one, other)
    elif sealed is not None:
        yield sealed, plain


def shown(value: Any) -> str:
    """A leaf as text."""
    return str(value).lower() if isinstance(value, bool) else str(value)


@pytest.mark.vectors
def test_every_leaf_of_a_document_opens(vectors: Path) -> None:
    file = json.loads((vectors / "columns/cosmos_documents.json").read_text())
    opened = 0
    for vector in file["vectors"]:
        policy = file["containers"][vector["container"]]["clientEncryptionPolicy"]["includedPaths"]
        for path in policy:
            name = path["path"].removeprefix("/")
            if vector["kind"] != "document":
                if path["path"] != vector["path"] or vector["expect"] == "reject":
                    continue
                plain = vector["plainValue"]
                pairs: Any = [(vector["encrypted"][name], plain)]
            else:
                sealed, plain = vector["encrypted"], vector["plain"]
                sealed = json.loads(sealed) if isinstance(sealed, str) else sealed
                plain = json.loads(plain) if isinstance(plain, str) else plain
                pairs = list(leaves(sealed[name], plain[name])) if name in sealed else []
            cek = bytes.fromhex(file["clientEncryptionKeys"][path["clientEncryptionKeyId"]]["raw"])
            for text, value in pairs:
                cell = base64.b64decode(text.replace("-", "+").replace("_", "/"), validate=True)
                found = opener(MARKERS[cell[0]], deterministic=path["encryptionType"] == "Deterministic", cek=cek).open(
                    binary([cell])
                )
                assert found.codes.tolist() == [0], (vector["id"], name)
                answer = found.values[0].as_py()
                same = float(answer) == float(value) if MARKERS[cell[0]] == "double" else answer == shown(value)
                assert same, (vector["id"], name, answer, value)
                opened += 1
    assert opened > 100


@pytest.mark.vectors
def test_hostile_leaves_are_refused(vectors: Path) -> None:
    file = json.loads((vectors / "columns/cosmos_documents.json").read_text())
    cek = bytes.fromhex(file["clientEncryptionKeys"]["key1"]["raw"])
    codes = {"mac": CellCode.CELL_MAC, "marker": CellCode.CELL_MARKER, "not-encrypted": CellCode.CELL_LENGTH}
    for vector in file["vectors"]:
        if vector["expect"] == "reject":
            text = vector["encrypted"]["ssn"]
            cell = base64.b64decode(text) if len(text) > 8 else text.encode()
            assert opener("string", cek=cek).open(binary([cell])).codes.tolist() == [codes[vector["kind"]]]


@pytest.mark.parametrize("kind", MARKERS.values())
def test_a_changed_marker_is_a_fault_of_its_row(kind: str) -> None:
    plain = b"abc" if kind == "string" else bytes(8)
    for marker, other in MARKERS.items():
        opened = opener(kind).open(binary([bytes((marker,)) + seal_cell(plain, CEK)]))
        assert opened.codes.tolist() == [0 if other == kind else CellCode.CELL_MARKER]
        assert opened.values.null_count == (other != kind)


def test_results_are_sealed_with_the_marker_of_their_type() -> None:
    columns: dict[str, list[Any]] = {"string": ["a", None, ""], "long": [1, None, -7], "bool": [True, None, False]}
    for kind, values in columns.items():
        sealed = sealer(kind).seal(pa.array(values))
        opened = opener(kind, deterministic=False).open(sealed)
        assert opened.values.to_pylist() == [None if value is None else shown(value) for value in values]
        assert {MARKERS[cell[0]] for cell in sealed.drop_null().to_pylist()} == {kind}


@pytest.mark.parametrize("deterministic", [False, True])
def test_truth_values_go_back_as_the_text_they_opened_to(deterministic: bool) -> None:
    """Columns of records are text, in which a truth value of JSON is true or false."""
    cells = binary([b"\2" + seal_cell(bytes((value, *bytes(7))), CEK) for value in (1, 0)])
    values = OpenedValues() if deterministic else None
    opened = opener("bool", deterministic=True, opened=values).open(cells)
    assert opened.values.to_pylist() == ["true", "false"]
    sealed = sealer("bool", opened=values).seal(opened.values)
    if deterministic:
        assert [cell[1:] for cell in sealed.to_pylist()] == [cell[1:] for cell in cells.to_pylist()]
    else:
        assert opener("bool", deterministic=False).open(sealed).values == opened.values
    for unfit in ("TRUE", "yes", "true ", ""):
        with pytest.raises(ValueUnfit):
            sealer("bool").seal(pa.array([unfit]))


def test_a_type_of_another_format_has_no_marker() -> None:
    with pytest.raises(ValueError, match="marker"):
        ColumnOpener(SqlType.parse("int"), ColumnFormat.COSMOS_DB, deterministic=True, cek=CEK, target=pa.utf8())
