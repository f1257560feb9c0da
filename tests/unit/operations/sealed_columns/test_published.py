"""The cells that Microsoft.Data.SqlClient made: both forms of each open to its value, and are made again."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from cji_core.operations.status_codes import CellCode
from cji_operations.sealed_columns.cells import CellKeys, seal_cells
from cji_operations.sealed_columns.types import encoding_of
from tests.support.sealed_cells import binary, opener, published, target_of, type_of

FILES = ("cells_text", "cells_binary", "cells_numeric", "cells_datetime")
UNPADDED = ("char", "nchar", "binary", "datetime")
"""Types whose value is not what was written because a reader pads or rounds it. Of others the driver lost something."""

pytestmark = pytest.mark.vectors


@pytest.mark.parametrize("name", FILES)
def test_every_cell_opens_to_its_value(vectors: Path, name: str) -> None:
    for vector in published(vectors, name):
        kind = type_of(vector)
        for form, mixed_up in (("det", CellCode.CELL_IV_DERIVED), ("rnd", CellCode.CELL_IV_RANDOM)):
            cells = binary([bytes.fromhex(vector[form]), None])
            opened = opener(kind, deterministic=form == "det", cek=vector["cek"]).open(cells)
            value = opened.values[0].as_py()
            value = value.hex() if isinstance(value, bytes) else value
            same = (
                float(value) == float(vector["value"]) if kind.name in ("real", "float") else value == vector["value"]
            )
            assert same, vector["id"]
            assert opened.codes.tolist() == [0, 0]
            assert opened.values[1].as_py() is None
            mixed = opener(kind, deterministic=form == "rnd", cek=vector["cek"]).open(cells)
            assert mixed.codes.tolist() == [mixed_up, 0]
            assert mixed.values.null_count == 2


@pytest.mark.parametrize("name", FILES)
def test_every_deterministic_cell_is_made_again(vectors: Path, name: str) -> None:
    for vector in published(vectors, name):
        kind, keys = type_of(vector), CellKeys.of(vector["cek"])
        lossy = "written" in vector and kind.name not in UNPADDED
        given = vector["value"] if lossy else vector.get("written", vector["value"])
        column = pa.array([bytes.fromhex(given) if target_of(kind) == pa.binary() else given])
        values = encoding_of(kind).encode(column)
        cells, lengths = seal_cells(values, keys.derived_ivs(values, np.arange(1)), keys)
        negative_zero = given == "0.00" and vector["plain"].startswith("00")
        assert (cells.tobytes().hex() == vector["det"]) != negative_zero, vector["id"]
        assert lengths.tolist() == [len(vector["det"]) // 2]


KINDS = {
    **dict.fromkeys(("mac", "iv", "ciphertext", "foreign-cek"), CellCode.CELL_MAC),
    "version": CellCode.CELL_VERSION,
    "truncated": CellCode.CELL_LENGTH,
    "padding": CellCode.CELL_PADDING,
    "length": CellCode.CELL_FORM,
    "utf16": CellCode.CELL_TEXT,
    **dict.fromkeys(("range", "date", "decimal"), CellCode.CELL_RANGE),
}


def test_every_hostile_cell_is_refused_for_its_fault(vectors: Path) -> None:
    for vector in published(vectors, "cells_hostile"):
        opened = opener(type_of(vector), deterministic=True, cek=vector["cek"]).open(
            binary([bytes.fromhex(vector["cell"])])
        )
        assert opened.codes.tolist() == [KINDS[vector["kind"]]], vector["id"]
        assert opened.values.to_pylist() == [None]
