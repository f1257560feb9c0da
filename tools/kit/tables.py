"""Cases about tables with encrypted columns (§13): MACs over rows, and the signed statement of a table's version."""

import hmac
import json
import struct
from collections.abc import Iterator
from typing import Any, Final

from tools.kit.case import Case
from tools.kit.writer import Signer, b64url, chance, sha384

KEY: Final = chance("row MACs", 32)
TABLE: Final = "vectors.dbo.Persons"


def _frame(data: bytes) -> bytes:
    return struct.pack(">Q", len(data)) + data


def _mac(version: int, row: bytes, cells: dict[str, bytes | None], *, key: bytes = KEY, table: str = TABLE) -> bytes:
    message = _frame(b"cji-row-mac/1") + _frame(table.encode()) + _frame(struct.pack(">Q", version)) + _frame(row)
    for name in sorted(cells):
        cell = cells[name]
        message += _frame(name.encode()) + _frame(b"" if cell is None else b"\1" + cell)
    return hmac.digest(key, message, "sha256")


def row_macs() -> Iterator[Case]:
    """MACs of a row, and MACs of other rows."""
    cells = {"SSN": chance("cells/SSN", 65), "Name": None}

    def given(mac: bytes, **changed: Any) -> dict[str, Any]:
        texts = {name: "" if cell is None else cell.hex() for name, cell in cells.items()}
        fields = {"key": KEY.hex(), "table": TABLE, "version": 7, "id": "4711", "cells": texts}
        return fields | {"row_mac": mac.hex()} | changed

    good = _mac(7, b"4711", cells)
    yield Case.valid("a row", **given(good))
    none = dict.fromkeys(cells)
    yield Case.valid("a row of nulls", **given(_mac(7, b"4711", none), cells=dict.fromkeys(cells, "")))
    for name, mac in {
        "another version": _mac(8, b"4711", cells),
        "another id": _mac(7, b"4712", cells),
        "another table": _mac(7, b"4711", cells, table="vectors.dbo.Others"),
        "another key": _mac(7, b"4711", cells, key=bytes(32)),
        "cells of other columns": _mac(7, b"4711", {"SSN": None, "Name": cells["SSN"]}),
        "an empty cell for null": _mac(7, b"4711", cells | {"Name": b""}),
        "a column less": _mac(7, b"4711", {"SSN": cells["SSN"]}),
        "a changed bit": good[:-1] + bytes([good[-1] ^ 1]),
    }.items():
        yield Case.untrue(f"a MAC of {name}", "row_mac", "row_mac", made_from="a row", **given(mac))


def table_versions() -> Iterator[Case]:
    """Statements of a table's version, each with a signature."""
    claims = {
        "format": "cji-table-version/1",
        "table": TABLE,
        "version": 7,
        "id": "PersonId",
        "columns": ["Name", "SSN"],
        "rows": 2,
        "row_macs_sha384": sha384(b"".join(_mac(7, each, {"SSN": None, "Name": None}) for each in (b"1", b"2"))).hex(),
        "created": "2026-11-26T12:00:00Z",
    }
    for hybrid in (False, True):
        signer, suite = Signer("writer of tables", hybrid), "hybrid-1" if hybrid else "classical-1"

        def signed(text: bytes, by: Signer = signer) -> dict[str, Any]:
            signature = by.sign(b"cji-table-version/1\0" + sha384(text))
            return {"statement": b64url(text), "signature": b64url(signature)}

        given: dict[str, Any] = {"jwk": signer.jwk, "table": TABLE, "least": 7}
        text = json.dumps(claims, separators=(",", ":")).encode()
        yield Case.valid(suite, **signed(text), **given)
        wrongs = {
            "by another key": signed(text, Signer("stranger", hybrid)),
            "of another statement": signed(text) | {"signature": signed(text + b" ")["signature"]},
        }
        if not hybrid:
            wrongs |= {
                name: signed(json.dumps(wrong, separators=(",", ":")).encode())
                for name, wrong in {
                    "of another table": claims | {"table": "vectors.dbo.Others"},
                    "of an older version": claims | {"version": 6},
                    "of version 0": claims | {"version": 0},
                    "of no columns": claims | {"columns": []},
                    "of another format": claims | {"format": "cji-table-version/2"},
                    "with an unknown member": claims | {"note": "x"},
                    "in another order": dict(reversed(claims.items())),
                }.items()
            }
            wrongs["with a blank"] = signed(text.replace(b",", b", ", 1))
        for name, wrong in wrongs.items():
            yield Case.untrue(f"{suite}, {name}", "statement", "table", made_from=suite, **wrong, **given)
