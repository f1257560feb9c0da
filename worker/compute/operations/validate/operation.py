"""`validate` as an operation: a rule set for NIBRS submissions or for columns, `NAME/VERSION`, decides which it is."""

from typing import Final

import pyarrow as pa

from worker.compute.nibrs.side_tables import ON_FILE, ORI_TABLE
from worker.compute.operation import Context, Operation, Side, Signature, TableOperation
from worker.compute.operations.validate import ncic, nibrs
from worker.compute.operations.validate.codes import Code
from worker.compute.operations.validate.outputs import COUNTS, EDS, FINDINGS, INCIDENTS, NIBRS_FINDINGS, RATES
from worker.compute.operations.validate.parameters import Validate, complete, decode, encode
from worker.compute.operations.validate.self_test import CASES
from worker.compute.parameters import check_digest
from worker.records import PERSONAL

_NIBRS: Final = Signature(
    accepts=frozenset(("nibrs.flat/3.1",)),
    result=NIBRS_FINDINGS.schema_id,
    parts=(INCIDENTS, RATES, EDS),
    sides=(Side(name=nibrs.ORI_SIDE, schema=ORI_TABLE), Side(name=nibrs.ON_FILE_SIDE, schema=ON_FILE)),
)
_COLUMNS: Final = Signature(accepts=PERSONAL, result=FINDINGS.schema_id, parts=(COUNTS,))


def _prepare(parameters: Validate, _schema_id: str, schema: pa.Schema, context: Context) -> TableOperation:
    return nibrs.prepare(parameters, context) if parameters.is_nibrs else ncic.prepare(parameters, schema, context)


VALIDATE: Final = Operation(
    parameters=Validate,
    decode=decode,
    encode=encode,
    complete=complete,
    check_tables=lambda parameters, tables: check_digest(parameters.tables_sha256, tables),
    signature=lambda parameters: _NIBRS if parameters.is_nibrs else _COLUMNS,
    prepare=_prepare,
    terminal=True,
    schemas=(NIBRS_FINDINGS, INCIDENTS.schema, RATES.schema, EDS.schema, FINDINGS, COUNTS.schema),
    steps=("check",),
    codes=Code,
    self_test=CASES,
)
