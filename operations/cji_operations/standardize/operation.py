"""`standardize` as an operation: values of some columns in one form, so that records can be linked by them.

result    the records; of `NAM`, its parts in `last`, `first`, `middle` and `suffix` as well, where these are empty
changes   `changes/1`: which values have another form than they had, and none of them

Invariants:
* A value that its form cannot read stays byte for byte, and its row is warned, with a code.
* Standardized twice is standardized once.
* A missing value (null, empty) stays as it is.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from cji_core.errors import Stage
from cji_core.format.records import RowStatus, Status, arrow, tagged
from cji_core.format.records.column import read
from cji_core.operations.parameters import bad_parameters
from cji_core.operations.standardize import (
    BY_SHARD,
    CHANGES,
    NAM,
    OFFENSE_CODES,
    PARTS,
    STANDARDIZE,
    Code,
    Form,
    Standardize,
)
from cji_operations.kernels import letters
from cji_operations.operation import Applied, Case, Context, Implementation
from cji_operations.stages.by_shard import by_shard
from cji_operations.stages.task import StageFunctions
from cji_operations.standardize import forms

_CODES: Final[Mapping[Form, Code]] = {
    "name": Code.NOT_A_NAME,
    "address": Code.NOT_AN_ADDRESS,
    "state": Code.NOT_A_STATE,
    "zip": Code.NOT_A_ZIP_CODE,
    "date": Code.NOT_READ_AS_DATE,
    "offense": Code.UNKNOWN_OFFENSE,
}
_Kernel = Callable[[pa.Array], Sequence[pa.Array]]


_Rows = npt.NDArray[np.int64]


@dataclass(slots=True, kw_only=True)
class Standardizing:
    """A prepared operation; made by `_prepare` alone."""

    output_schema: pa.Schema
    added: int
    """Columns of the result that the records do not have: its last ones."""
    forms: Mapping[int, tuple[Form, _Kernel]] = field(repr=False)
    """By the position of a column its form, and the kernel: the standard form of distinct values, and their parts."""
    rows: int = 0
    """Rows so far."""

    @property
    def sources(self) -> npt.NDArray[np.int16]:
        """Parts of a name come from `NAM`, unless the records have them."""
        nam = next((column for column, (form, _) in self.forms.items() if form == "name"), 0)
        return np.append(np.arange(len(self.output_schema) - self.added), np.full(self.added, nam)).astype(np.int16)

    def apply(self, batch: pa.RecordBatch) -> Applied:
        """Standardize some records; see BatchOperation."""
        columns = dict(zip(batch.schema.names, batch.columns, strict=True))
        status, changes = RowStatus.all_ok(batch.num_rows), list[tuple[_Rows, str, Form]]()
        for position, (form, kernel) in self.forms.items():
            name, array = batch.schema.names[position], batch.column(position)
            whole, *parts = _standard(array, kernel)
            unread = np.flatnonzero(_filled(array) & ~arrow.present(whole))
            status = status.found(unread, status=Status.WARNED, code=_CODES[form], column=position)
            columns[name] = pc.coalesce(whole, array)
            different = pc.not_equal(columns[name].view(pa.binary()), array.view(pa.binary())).fill_null(False)
            changes.append((np.flatnonzero(arrow.bools(different)), name, form))
            for part, values in zip(PARTS, parts, strict=False):
                had = columns.get(part, pa.nulls(batch.num_rows, array.type))
                new = ~_filled(had) & _filled(values)
                columns[part] = pc.if_else(arrow.from_numpy(new), values.view(had.type), had)
                changes.append((np.flatnonzero(new), part, form))
        arrays = [columns[each.name] for each in self.output_schema]
        first, self.rows = self.rows, self.rows + batch.num_rows
        result = pa.RecordBatch.from_arrays(arrays, schema=self.output_schema)
        return Applied(batch=result, status=status, parts={CHANGES.name: [_changed(changes, first)]})

    def finish(self) -> Mapping[str, Iterable[pa.RecordBatch]]:
        """Nothing is left."""
        return {}


def _filled(array: pa.Array) -> npt.NDArray[np.bool_]:
    """bool[n]: the value is neither null nor empty."""
    return read(array).filled


def _standard(array: pa.Array, kernel: _Kernel) -> list[pa.Array]:
    """The standard form of each value in the type of the column, null where there is none, and its parts.

    A form whose own standard form is another one is none: the value had several readings.
    """
    encoded = pc.dictionary_encode(array)
    found = kernel(encoded.dictionary.view(pa.binary()))
    stable = pc.equal(kernel(found[0])[0], found[0]).fill_null(False)
    nothing = pa.scalar(None, pa.binary())
    return [pc.if_else(stable, each, nothing).take(encoded.indices).view(array.type) for each in found]


def _changed(changes: Sequence[tuple[_Rows, str, Form]], first: int) -> pa.RecordBatch:
    """`changes/1` by row, then in the order of columns."""
    rows = np.concatenate([np.empty(0, np.int64), *(each for each, _, _ in changes)])
    which = np.repeat(np.arange(len(changes)), [len(each) for each, _, _ in changes])
    order = np.lexsort((which, rows))
    index = arrow.from_numpy(which[order])
    names, kinds = [name for _, name, _ in changes], [form for _, _, form in changes]
    named = [arrow.from_texts(each, pa.utf8()).take(index) for each in (names, kinds)]
    numbers = arrow.from_numpy((rows[order] + first).astype(np.uint64))
    return pa.RecordBatch.from_arrays([numbers, *named], schema=CHANGES.schema.arrow)


def _prepare(parameters: Standardize, schema_id: str, schema: pa.Schema, context: Context) -> Standardizing:
    """Bind forms to the columns of the records.

    Raises: Refusal(BAD_PARAMETERS) for a column that is missing or not text, and for a table of offenses that would
    change a code twice.
    """
    text = (pa.utf8(), pa.binary())
    columns = [*parameters.columns, *(part for part in PARTS if NAM in parameters.columns and part in schema.names)]
    if any(name not in schema.names or schema.field(name).type not in text for name in columns):
        raise bad_parameters(Stage.COMPUTE)
    try:
        offenses = forms.offenses(_own(context.sides.get(OFFENSE_CODES, ())))
    except ValueError as error:
        raise bad_parameters(Stage.COMPUTE) from error
    kernels: dict[Form, _Kernel] = {
        "name": forms.name_parts,
        "address": lambda values: (forms.address(values),),
        "state": lambda values: (forms.state(values),),
        "zip": lambda values: (forms.zip_code(values),),
        "date": lambda values: (forms.date(values),),
        "offense": lambda values: (offenses.of(letters.folded(values)),),
    }
    added = [part for part in PARTS if NAM in parameters.columns and part not in schema.names]
    fields = [pa.field(column.name, column.type) for column in schema]
    fields += [pa.field(part, schema.field(NAM).type) for part in added]
    return Standardizing(
        output_schema=tagged(schema_id, fields),
        added=len(added),
        forms={schema.get_field_index(name): (form, kernels[form]) for name, form in parameters.columns.items()},
    )


def _own(table: Sequence[pa.RecordBatch]) -> dict[bytes, bytes]:
    """The agency's codes of offenses and their standard, folded; rows without one of both are left out."""
    found = dict[bytes, bytes]()
    for batch in table:
        code, standard = (letters.folded(batch.column(name)).to_pylist() for name in ("code", "standard"))
        found.update((a, b) for a, b in zip(code, standard, strict=True) if a and b)
    return found


def _functions(_: Standardize) -> StageFunctions:
    return by_shard(BY_SHARD, _prepare)


CASES: Final = (
    Case(
        schema="person/1",
        row={
            "NAM": "Mr. O'Neil Jr, Seán P.",
            "address_1": "12 north main street apt #4",
            "state": "Texas",
            "postcode": "78701 1234",
            "DOB": "Feb 14, 1982",
            "first": None,
        },
        parameters=Standardize(
            columns={"NAM": "name", "address_1": "address", "state": "state", "postcode": "zip", "DOB": "date"}
        ),
    ),
    Case(
        schema="chri_event/2",
        row={"offense_code": "PC211"},
        parameters=Standardize(columns={"offense_code": "offense"}),
        sides={OFFENSE_CODES: ("offense_codes/1", {"code": "PC211", "standard": "120"})},
    ),
)
"""A value of every form."""

IMPLEMENTATION: Final = Implementation(operation=STANDARDIZE, prepare=_prepare, self_test=CASES, stages=_functions)
