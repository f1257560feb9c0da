"""`deidentify`: one rule for every input column, applied batch by batch.

    keep         the column as it is, not copied
    drop         no such column in the output
    null         the column, every value null
    mask         every byte but the first and last few replaced
    hmac_token   a keyed pseudonym; joins within a project and a domain
    cmac_token   the same by AES-CMAC, several times as fast
    aes_token    the same for values of at most 15 bytes, which the project key turns back
    ff1          format-preserving encryption: another value of the same length and alphabet
    date_to      a date cut to its year or month
    zip_prefix   the first digits of a ZIP code
    age_band     a date of birth as a band of ages
    group        the name of the group that a value belongs to
    hierarchy    several of these steps, of which `small_classes` chooses one for each row
    redact       free text without what fits a pattern
    date_shift   all dates of a subject moved by the same secret number of days

Invariants:
* Every input column has exactly one rule, and no rule names another column; else BAD_PARAMETERS.
* A value that does not fit its transform is null in the output, and its row is PARTLY_USED with a code. It is never
  passed in clear. A missing value (null or empty) is null without a code.
* Columns keep their name and their type, so the output is of the input's record schema, with fewer columns.
* Free text is never kept or masked.
* All date shifts of an operation have the same bounds, so that one subject has one shift.

With `small_classes` the operation is of scope table: see `k_anonymity`. With `token_map` every token is listed beside
the value that it stands for, once for each column, in the order of first appearance.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cji_core.errors import Stage
from cji_core.format.records import RowStatus, Status, tagged
from cji_core.operations.deidentify.declaration import DEIDENTIFY, TOKEN_MAP, Deidentify, SmallClasses, tokens_by_shard
from cji_core.operations.deidentify.rules import (
    AesToken,
    CmacToken,
    DateShift,
    Ff1,
    Group,
    Hierarchy,
    HmacToken,
    Mask,
    Redact,
    Token,
    ZipPrefix,
)
from cji_core.operations.parameters import bad_parameters
from cji_operations.deidentify import tokens
from cji_operations.deidentify.k_anonymity import Suppressing
from cji_operations.deidentify.k_anonymity_parts import small_class_functions
from cji_operations.deidentify.token_map import TokenMap, merge
from cji_operations.deidentify.transforms import ApplyRule, Kernel, OneBatch, bind, steps
from cji_operations.operation import Applied, Case, Context, Implementation
from cji_operations.stages.by_shard import by_shard
from cji_operations.stages.task import StageFunctions


@dataclass(frozen=True, slots=True, kw_only=True)
class Deidentifying:
    """A prepared operation; made by `_prepare` alone. It holds keys, so its repr shows the schema only."""

    output_schema: pa.Schema
    transforms: tuple[tuple[int, ApplyRule], ...] = field(repr=False)
    mapped: frozenset[int] = frozenset()
    token_map: TokenMap | None = field(default=None, repr=False)

    @property
    def sources(self) -> npt.NDArray[np.int16]:
        """For each output column, the position of its input column."""
        return np.array([column for column, _ in self.transforms], np.int16)

    def apply(self, batch: pa.RecordBatch) -> Applied:
        """Apply the rules; see BatchOperation."""
        status = RowStatus.all_ok(batch.num_rows)
        work, arrays = OneBatch(batch), []
        for column, transform in self.transforms:
            outcome = transform(work, column)
            arrays.append(outcome.array)
            if self.token_map is not None and column in self.mapped:
                self.token_map.add(batch.schema.names[column], batch.column(column), outcome.array)
            for code, rows in outcome.faults:
                status = status.found(rows, status=Status.PARTLY_USED, code=code, column=column)
        return Applied(batch=pa.RecordBatch.from_arrays(arrays, schema=self.output_schema), status=status)

    def finish(self) -> Mapping[str, Iterable[pa.RecordBatch]]:
        """The token map."""
        return {} if self.token_map is None else {TOKEN_MAP.name: self.token_map.batches()}


def _prepare(
    parameters: Deidentify, schema_id: str, schema: pa.Schema, context: Context
) -> Deidentifying | Suppressing:
    """Bind parameters to the columns of the records.

    The project key is 32 bytes, or None where no rule needs it. Raises: Refusal(BAD_PARAMETERS) when rules and columns
    do not match, or the key is missing or of another length.
    """
    key = context.project_key or b""
    if parameters.columns.keys() != set(schema.names):
        raise bad_parameters(Stage.COMPUTE)
    if parameters.is_keyed and len(key) != tokens.PROJECT_KEY_BYTES:
        raise bad_parameters(Stage.COMPUTE)
    kept = [(i, column, parameters.columns[column.name]) for i, column in enumerate(schema)]
    kept = [(i, column, rule) for i, column, rule in kept if rule != "drop"]
    project = parameters.project or ""
    output = tagged(schema_id, [pa.field(column.name, column.type) for _, column, _ in kept])
    prepared = Deidentifying(
        output_schema=output,
        transforms=tuple(
            (i, bind(column.name, rule, project=project, schema=schema, key=key)) for i, column, rule in kept
        ),
        mapped=frozenset(i for i, _, rule in kept if isinstance(rule, Token)),
        token_map=TokenMap() if parameters.token_map else None,
    )
    small = parameters.small_classes
    if small is None:
        return prepared
    return Suppressing(
        inner=prepared,
        columns=tuple(_steps(parameters, schema, output, name) for name in small.quasi_identifiers),
        k=small.k,
        sensitive=tuple(map(output.get_field_index, small.sensitive)),
        person=schema.get_field_index(small.person) if small.person else None,
        links=tuple(sorted(map(output.get_field_index, parameters.links))),
    )


def _steps(parameters: Deidentify, schema: pa.Schema, output: pa.Schema, name: str) -> tuple[int, tuple[Kernel, ...]]:
    rule = parameters.columns[name]
    kernels = steps(name, rule, schema=schema) if isinstance(rule, Hierarchy) else ()
    return output.get_field_index(name), kernels


def _suppressing(parameters: Deidentify, schema_id: str, schema: pa.Schema, context: Context) -> Suppressing:
    """As `_prepare`, with small classes."""
    prepared = _prepare(parameters, schema_id, schema, context)
    if not isinstance(prepared, Suppressing):
        raise bad_parameters(Stage.COMPUTE)
    return prepared


def _functions(parameters: Deidentify) -> StageFunctions:
    """Every shard by itself; classes of equal rows are of all of them."""
    if parameters.small_classes is not None:
        return small_class_functions(parameters, _suppressing)
    return by_shard(tokens_by_shard(parameters), _prepare, {TOKEN_MAP.name: merge})


CASES: Final = (
    Case(
        schema="person/1",
        row={
            "last": "DOE",
            "DOB": "19700131",
            "postcode": "12345",
            "SOC": "123456789",
            "SEX": "U",
            "SID": "XX1",
            "EYE": "BRO",
            "OLN": "A1",
            "FBI": "123456A",
            "MNU": "PP-123456789",
            "RAC": "U",
            "SMT": "CALL 555-123-4567",
        },
        parameters=Deidentify(
            project="self-test",
            wrapped_project_key=bytes(384),
            columns={
                "last": "drop",
                "DOB": DateShift(subject_column="SID", max_days=30),
                "postcode": Hierarchy(steps=(ZipPrefix(digits=3), ZipPrefix(digits=1), "null")),
                "SOC": Mask(keep_last=2),
                "SEX": "keep",
                "SID": HmacToken(domain="sid"),
                "EYE": "null",
                "OLN": AesToken(domain="oln"),
                "FBI": Ff1(domain="fbi", radix=36),
                "MNU": CmacToken(domain="mnu"),
                "RAC": Group(groups={"other": ("U",)}),
                "SMT": Redact(),
            },
            small_classes=SmallClasses(quasi_identifiers=("SEX", "postcode"), k=2, sensitive=("RAC",)),
            token_map=True,
        ),
    ),
)
"""A row under every transform."""

IMPLEMENTATION: Final = Implementation(operation=DEIDENTIFY, prepare=_prepare, self_test=CASES, stages=_functions)
