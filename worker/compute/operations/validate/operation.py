"""`validate`: which module judges by a rule set, `NAME/VERSION`, and what its records and outputs are."""

import datetime
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import pyarrow as pa

from worker.compute.operation import Context, TableOperation, bad_parameters
from worker.compute.operations.validate import ncic, nibrs
from worker.compute.tables import Tables
from worker.errors import Stage
from worker.wire.v1 import worker_pb2

__all__ = ["SIDES", "accepts", "check", "check_tables", "output_parts", "prepare", "result"]

_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Family:
    """How rule sets of one name are checked and prepared, and what is judged by them."""

    check: Callable[[worker_pb2.Validate], None]
    prepare: Callable[[worker_pb2.Validate, str, pa.Schema, Context], TableOperation]
    accepts: frozenset[str]
    findings: str
    parts: tuple[tuple[str, str], ...] = ()
    sides: frozenset[str] = frozenset()


_FAMILIES: Final[Mapping[str, _Family]] = MappingProxyType(
    {
        "nibrs": _Family(
            check=nibrs.check,
            prepare=nibrs.prepare,
            accepts=nibrs.ACCEPTS,
            findings=nibrs.FINDINGS,
            parts=nibrs.PARTS,
            sides=nibrs.SIDES,
        ),
        "ncic": _Family(
            check=ncic.check,
            prepare=ncic.prepare,
            accepts=ncic.ACCEPTS,
            findings=ncic.FINDINGS,
            parts=ncic.PARTS,
        ),
    }
)
SIDES: Final = frozenset[str]().union(*(family.sides for family in _FAMILIES.values()))


def _family(parameters: worker_pb2.Validate) -> _Family:
    family = _FAMILIES.get(parameters.rule_set.partition("/")[0])
    if family is None:
        raise bad_parameters(Stage.ADMIT)
    return family


def check(parameters: worker_pb2.Validate) -> None:
    """Refuse parameters that are wrong for every input. Raises: Refusal(BAD_PARAMETERS) at ADMIT."""
    try:
        day = _DAY.fullmatch(parameters.as_of) is not None and bool(datetime.date.fromisoformat(parameters.as_of))
    except ValueError:
        day = False
    if not day or len(parameters.tables_sha256) not in {0, 32}:
        raise bad_parameters(Stage.ADMIT)
    _family(parameters).check(parameters)


def check_tables(parameters: worker_pb2.Validate, tables: Tables) -> None:
    """Refuse other tables than the job expects."""
    if parameters.tables_sha256 not in {b"", tables.sha256}:
        raise bad_parameters(Stage.ADMIT)


def accepts(parameters: worker_pb2.Validate) -> frozenset[str]:
    """The record schemas that the rule set is for."""
    return _family(parameters).accepts


def result(parameters: worker_pb2.Validate, schema_id: str) -> str:  # noqa: ARG001 - findings are findings
    """The record schema of the findings."""
    return _family(parameters).findings


def output_parts(parameters: worker_pb2.Validate) -> tuple[tuple[str, str], ...]:
    """(name, schema id) of the outputs besides the findings."""
    return _family(parameters).parts


def prepare(parameters: worker_pb2.Validate, schema_id: str, schema: pa.Schema, context: Context) -> TableOperation:
    """Bind checked parameters to the records. Raises: Refusal(SCHEMA_MISMATCH, BAD_PARAMETERS)."""
    check_tables(parameters, context.tables)
    return _family(parameters).prepare(parameters, schema_id, schema, context)
