"""`validate` as an operation: a rule set for NIBRS submissions or for columns, `NAME/VERSION`, decides which it is."""

from typing import Final

import pyarrow as pa

from cji_core.operations.validate import COLUMNS_BY_SHARD, COUNTS, VALIDATE, Validate
from cji_operations.operation import Context, Implementation, TableOperation
from cji_operations.stages.by_shard import by_shard
from cji_operations.stages.task import StageFunctions
from cji_operations.validate import ncic, nibrs
from cji_operations.validate.nibrs_parts import NIBRS_FUNCTIONS
from cji_operations.validate.self_test import CASES


def _prepare(parameters: Validate, schema_id: str, schema: pa.Schema, context: Context) -> TableOperation:
    if parameters.is_nibrs:
        return nibrs.prepare(parameters, schema_id, context)
    return ncic.prepare(parameters, schema, context)


def _functions(parameters: Validate) -> StageFunctions:
    if parameters.is_nibrs:
        return NIBRS_FUNCTIONS
    return by_shard(COLUMNS_BY_SHARD, _prepare, {COUNTS.name: ncic.merge_counts})


IMPLEMENTATION: Final = Implementation(operation=VALIDATE, prepare=_prepare, self_test=CASES, stages=_functions)
