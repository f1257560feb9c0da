"""`columns`: cells of Always Encrypted opened a second, beside npm tedious and beside their bare cryptography.

One thread, CPU time on both sides. The clock of ours has everything that a cell of the worker does with a column: MACs,
decryption, padding, IVs, repeated cells, and the values as an Arrow column of text. Tedious decrypts alone, without
reading values, and compares half of the MAC of a short cell. The floor is the least that these bytes cost: one AES-ECB
call over all blocks, and for each cell one HMAC from a state that has the key.

Columns are randomized, with a value of its own in each row: the case without help from equal cells.
"""

import os
from functools import partial
from typing import Final

import numpy as np
import pyarrow as pa
from cryptography.hazmat.primitives import hashes, hmac
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from benchmarks.harness import Paired, Result, paired, rate
from benchmarks.machine import facts
from benchmarks.report import Report
from cji_core.format.columns import SqlType
from cji_operations.sealed_columns import ColumnOpener, ColumnSealer
from tests.support.always_encrypted import Tedious
from tests.support.sealed_cells import CEK, target_of

__all__ = ["run"]

_SQL_CLIENT: Final = {"short": "320", "text": "-", "long": "154"}
"""Microsoft.Data.SqlClient 7.1.1, thousand cells per CPU second on two cores of an AMD EPYC; not measured here."""
_BATCH: Final = 16_384  # as a cell hands them over
_IV_AT: Final = 33
_BLOCK: Final = 16


def run(report: Report, *, quick: bool) -> Result:
    """Measure and print; a minute."""
    machine, pairs, share = facts(), 3 if quick else 9, 4 if quick else 1
    report.heading("columns", machine)
    columns = {
        "short": ("char(9) cp1252", pa.array([f"{row:09d}" for row in range(131_072 // share)])),
        "text": ("nvarchar(16)", pa.array([f"NAME {row:011d}" for row in range(131_072 // share)])),
        "long": ("varbinary(8000)", pa.array([os.urandom(4096) for _ in range(8192 // share)])),
    }
    tedious, floors = dict[str, Paired](), dict[str, Paired]()
    for name, (kind, values) in columns.items():
        sql = SqlType.parse(kind)
        cells = ColumnSealer(sql, sql.format, deterministic=False, cek=CEK, random=os.urandom).seal(values)
        given = cells.to_pylist()
        bodies = [cell[_IV_AT:] for cell in given]
        ours = rate(len(cells), partial(_opened, sql, cells))
        with report.doing(f"{len(cells)} cells of {kind}, {pairs} pairs with each peer"):
            tedious[name] = paired(ours, partial(_tedious, given), pairs=pairs)
            floors[name] = paired(ours, rate(len(cells), partial(_floor, bodies)), pairs=pairs)
    report.table(
        "Thousand cells a CPU second; SqlClient: published for .NET, decrypting alone, on another machine",
        ("cells", "ours", "tedious", "ratio", "floor", "share of floor", "SqlClient"),
        [
            (
                f"{columns[name][0]}",
                f"{tedious[name].subject.middle / 1e3:.0f}",
                f"{tedious[name].peer.middle / 1e3:.0f}",
                tedious[name].ratio.text(places=1),
                f"{floors[name].peer.middle / 1e3:.0f}",
                floors[name].ratio.text(places=2),
                _SQL_CLIENT[name],
            )
            for name in columns
        ],
    )
    return Result(
        name="columns",
        machine=machine,
        figures={f"{name}_cells_per_s": tedious[name].subject.middle for name in columns}
        | {f"tedious_{name}_cells_per_s": tedious[name].peer.middle for name in columns},
        ratios={
            "tedious": tedious["short"].ratio.middle,
            "tedious_4_kib": tedious["long"].ratio.middle,
            "floor": floors["long"].ratio.middle,
            "floor_short": floors["short"].ratio.middle,
        },
    )


def _opened(kind: SqlType, cells: pa.Array) -> None:
    column = ColumnOpener(kind, kind.format, deterministic=False, cek=CEK, target=target_of(kind))
    for first in range(0, len(cells), _BATCH):
        assert not column.open(cells.slice(first, _BATCH)).codes.any()


def _tedious(cells: list[bytes]) -> float:
    return len(cells) / Tedious().seconds(cells, CEK)


def _floor(bodies: list[bytes]) -> None:
    """IV and ciphertext of each cell in an HMAC of its own, the ciphertext of all in one AES call."""
    start, macs = hmac.HMAC(CEK, hashes.SHA256()).copy, list[bytes]()
    for body in bodies:
        mac = start()
        mac.update(body)
        macs.append(mac.finalize())
    blocks = np.frombuffer(b"".join(bodies), np.uint8)[_BLOCK * len(bodies) :]
    out = np.empty(len(blocks) + _BLOCK, np.uint8)
    Cipher(algorithms.AES(CEK), modes.ECB()).decryptor().update_into(blocks.data, out.data)  # noqa: S305 - a floor
