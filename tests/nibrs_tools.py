"""What NIBRS tests share: judging bytes, and findings in the twin's words."""

from collections.abc import Mapping, Sequence
from datetime import date

import numpy as np
import pyarrow as pa

from tests.nibrs_twin import Found
from worker.compute.kernels.lines import split
from worker.compute.validate import ON_FILE_SCHEMA, ORI_TABLE_SCHEMA, Findings, Options, load_rule_set, validate

__all__ = ["AS_OF", "TODAY", "as_found", "judged", "side"]

AS_OF = date(2020, 5, 5)
TODAY = 20200505


def side(schema: pa.Schema, rows: Sequence[Mapping[str, str]]) -> list[pa.RecordBatch]:
    """A side table of these rows."""
    columns = [pa.array([row.get(field.name, "").encode() for row in rows], pa.binary()) for field in schema]
    return [pa.RecordBatch.from_arrays(columns, schema=schema)]


def judged(
    data: bytes,
    rule_set: str = "nibrs/3.1",
    *,
    as_of: date = AS_OF,
    also: frozenset[int] = frozenset(),
    without: frozenset[int] = frozenset(),
    agencies: Sequence[Mapping[str, str]] | None = None,
    filed: Sequence[Mapping[str, str]] | None = None,
) -> Findings:
    """The findings of a file."""
    return validate(
        split(np.frombuffer(data, np.uint8)),
        rules=load_rule_set(rule_set),
        options=Options(as_of=as_of, also=also, without=without),
        ori_table=None if agencies is None else side(ORI_TABLE_SCHEMA, agencies),
        on_file=None if filed is None else side(ON_FILE_SCHEMA, filed),
    )


def as_found(findings: Findings) -> list[Found]:
    """Findings as the twin gives them."""

    def words(values: np.ndarray) -> list[str]:  # type: ignore[type-arg]
        return [value.decode("latin-1").rstrip(" ") for value in values.tolist()]

    return sorted(
        zip(
            findings.row.tolist(),
            (findings.record == 0).tolist(),
            findings.rule.tolist(),
            words(findings.element),
            words(findings.value),
            words(findings.sequence),
            words(findings.offense),
            words(findings.loss),
            strict=True,
        )
    )
