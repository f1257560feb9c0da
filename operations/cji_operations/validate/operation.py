"""`validate` as an operation: a rule set for NIBRS submissions or for columns, `NAME/VERSION`, decides which it is."""

from collections.abc import Iterator
from typing import Final

import pyarrow as pa

from cji_core.format.records import PERSONAL
from cji_operations.in_parts import InParts
from cji_operations.nibrs.side_tables import ON_FILE, ORI_TABLE
from cji_operations.nibrs.specification import RULE_SETS
from cji_operations.operation import Context, Operation, ReadOutput, Side, Signature, TableOperation
from cji_operations.parameters import check_digest
from cji_operations.shard_parts import RESULT, by_shard
from cji_operations.validate import ncic, nibrs
from cji_operations.validate.codes import Code
from cji_operations.validate.nibrs_parts import nibrs_parts
from cji_operations.validate.outputs import COUNTS, EDS, FINDINGS, INCIDENTS, NIBRS_FINDINGS, RATES
from cji_operations.validate.parameters import Validate, complete, decode, encode
from cji_operations.validate.self_test import CASES

_NIBRS: Final = Signature(
    accepts=frozenset((nibrs.FLAT, nibrs.XML)),
    result=NIBRS_FINDINGS.schema_id,
    parts=(INCIDENTS, RATES, EDS),
    sides=(Side(name=nibrs.ORI_SIDE, schema=ORI_TABLE), Side(name=nibrs.ON_FILE_SIDE, schema=ON_FILE)),
)
_COLUMNS: Final = Signature(accepts=PERSONAL, result=FINDINGS.schema_id, parts=(COUNTS,))


def _prepare(parameters: Validate, schema_id: str, schema: pa.Schema, context: Context) -> TableOperation:
    if parameters.is_nibrs:
        return nibrs.prepare(parameters, schema_id, context)
    return ncic.prepare(parameters, schema, context)


def _summary(parameters: Validate, read: ReadOutput) -> Iterator[str]:
    """The rule set that a submission was checked by: its period may have chosen it."""
    if not parameters.is_nibrs:
        return
    used = {name for batch in read(RATES.name) for name in batch.column("rule_set").to_pylist()}
    for name, rules in RULE_SETS.items():
        if name.encode() in used:
            yield f"rules    {name} ({rules.specification})"


def _in_parts(parameters: Validate) -> InParts:
    if parameters.is_nibrs:
        return nibrs_parts()
    return by_shard(_prepare, merged=((COUNTS, ncic.merge_counts),), numbered=(RESULT,))


VALIDATE: Final = Operation(
    parameters=Validate,
    decode=decode,
    encode=encode,
    complete=complete,
    check_tables=lambda parameters, tables: check_digest(parameters.tables_sha256, tables),
    signature=lambda parameters: _NIBRS if parameters.is_nibrs else _COLUMNS,
    prepare=_prepare,
    in_parts=_in_parts,
    terminal=True,
    schemas=(NIBRS_FINDINGS, INCIDENTS.schema, RATES.schema, EDS.schema, FINDINGS, COUNTS.schema),
    steps=("check",),
    codes=Code,
    summary=_summary,
    self_test=CASES,
)
