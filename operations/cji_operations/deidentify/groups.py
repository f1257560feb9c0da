"""Values in groups: the name of the group in place of each of its values.

A value that no group lists is null in the result and listed with its code; a missing value (null or empty) is null
without a code.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cji_core.format.records import arrow
from cji_core.format.records.column import read
from cji_core.operations.deidentify.declaration import Code
from cji_operations.deidentify.outcome import Outcome


def group(array: pa.Array, *, names: Mapping[str, Sequence[str]]) -> Outcome:
    """The name of each value's group; values are compared as exact bytes."""
    listed = [(value.encode(), name) for name, values in names.items() for value in values]
    number = pc.index_in(array.view(pa.binary()), pa.array([value for value, _ in listed], pa.binary()))
    found = pa.array([name for _, name in listed], array.type).take(number)
    faults = ((Code.IN_NO_GROUP, np.flatnonzero(read(array).filled & ~arrow.present(number))),)
    return Outcome(array=found, faults=faults)
