"""The implementations of the operations in `cji_core.operations.registry`, one line each."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

import pyarrow as pa

from cji_core.errors import Stage
from cji_core.format.records import check_schema
from cji_core.operations.parameters import ParametersError, bad_parameters
from cji_core.operations.registry import Planned
from cji_core.operations.stages.stage import PLAN_STAGE
from cji_operations.aggregate import operation as aggregate
from cji_operations.clear import operation as clear
from cji_operations.deidentify import operation as deidentify
from cji_operations.disseminate import operation as disseminate
from cji_operations.link import operation as link
from cji_operations.match_orders import operation as match_orders
from cji_operations.operation import Context, Implementation, PreparedOperation
from cji_operations.redact import operation as redact
from cji_operations.screen import operation as screen
from cji_operations.stages.task import StageFunctions, plan_nothing
from cji_operations.standardize import operation as standardize
from cji_operations.validate import operation as validate

IMPLEMENTATIONS: Final[Mapping[str, Implementation[Any]]] = MappingProxyType(
    {
        each.operation.name: each
        for each in (
            validate.IMPLEMENTATION,
            link.IMPLEMENTATION,
            screen.IMPLEMENTATION,
            deidentify.IMPLEMENTATION,
            aggregate.IMPLEMENTATION,
            disseminate.IMPLEMENTATION,
            clear.IMPLEMENTATION,
            redact.IMPLEMENTATION,
            standardize.IMPLEMENTATION,
            match_orders.IMPLEMENTATION,
        )
    }
)
"""By the names of the operations."""


def prepare(planned: Planned, schema: pa.Schema, context: Context) -> PreparedOperation:
    """The operation, ready for batches of `schema`.

    Raises: Refusal(BAD_PARAMETERS) when parameters, columns and key do not fit each other; Refusal(SCHEMA_MISMATCH)
    when `schema` is not that of the plan.
    """
    check_schema(planned.schema_id, schema)
    try:
        planned.operation.check_records(planned.parameters, planned.schema_id, frozenset(schema.names))
    except ParametersError:
        raise bad_parameters(Stage.COMPUTE) from None
    return IMPLEMENTATIONS[planned.operation.name].prepare(planned.parameters, planned.schema_id, schema, context)


def stage_functions(planned: Planned) -> StageFunctions:
    """The functions of the operation's stages over many machines, by name; of one that plans nothing, too."""
    return {PLAN_STAGE: plan_nothing, **IMPLEMENTATIONS[planned.operation.name].stages(planned.parameters)}
