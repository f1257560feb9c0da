"""Counts with differential privacy: rows of every cell of the finest table with noise, and their totals.

A person counts in `rows_per_person` rows at most, the first ones of the records; a row that names nobody is a person by
itself. So a person changes the numbers of the finest table by `rows_per_person` in all, and noise with s / t =
epsilon / rows_per_person makes that table epsilon-differentially private. Totals are sums of what is noisy already, and
a number below 0 becomes 0: neither costs privacy. Every cell is listed, whether it is empty or not, because the keys
have their categories.

The key of the noise is derived from the key of the project, the parameters and the table without noise. The same table
with the same parameters has the same noise, so that asking again shows nothing new. Another table has other noise, so
that two of them do not show their difference.
"""

from collections.abc import Sequence
from hashlib import sha256
from math import gcd
from typing import Final

import numpy as np
import pyarrow as pa
from msgspec.structs import replace

from cji_core.format.records.column import Bools, Ints, read
from cji_core.operations.aggregate import Aggregate, encode
from cji_core.operations.parameters import known
from cji_operations.aggregate.noise import discrete_laplace
from cji_operations.kernels.distinct import codes
from cji_operations.kernels.group_by import counts, with_totals
from cji_operations.kernels.project_keys import derived

_USE: Final = "aggregate: noise of a table"


def noisy(parameters: Aggregate, project_key: bytes, *, cell: Ints, people: pa.Array, shape: Sequence[int]) -> Ints:
    """int64 of all cells with totals, none below 0; `cell` int64[n] and `people` binary[n] of the rows."""
    privacy = known(parameters.privacy)
    table = counts(cell[first_rows(people, privacy.rows_per_person)], shape)
    s, t = privacy.epsilon_thousandths, 1000 * privacy.rows_per_person
    key = noise_key(parameters, project_key, table)
    noise = discrete_laplace(key, table.size, s // gcd(s, t), t // gcd(s, t))
    return np.maximum(with_totals(table + noise.reshape(table.shape)), 0)


def first_rows(people: pa.Array, most: int) -> Bools:
    """bool[n]: the first `most` rows of each person, and all that name nobody."""
    person, named = codes(people)[0], read(people).filled
    order = np.argsort(person, kind="stable")
    in_order = person[order]
    kept = np.zeros(len(person), np.bool_)
    kept[order] = np.arange(len(order)) - np.searchsorted(in_order, in_order) < most
    return kept | ~named


def noise_key(parameters: Aggregate, project_key: bytes, table: Ints) -> bytes:
    """32 bytes for the noise of one table."""
    spec = encode(replace(parameters, privacy=replace(known(parameters.privacy), wrapped_project_key=b"")))
    digests = [sha256(spec.SerializeToString(deterministic=True)), sha256(table.astype("<i8").tobytes())]
    return derived(project_key, _USE, *(digest.hexdigest() for digest in digests))
