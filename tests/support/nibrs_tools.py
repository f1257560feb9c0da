"""What NIBRS tests share: judging bytes, and findings in the twin's words."""

from collections.abc import Mapping, Sequence
from datetime import date

import numpy as np
import pyarrow as pa

from cji_core.format.records.lines import split
from cji_core.format.records.nibrs.records import Records
from cji_operations.validate import ON_FILE_SCHEMA, ORI_TABLE_SCHEMA, Findings, Options, eds, load_rule_set, validate
from tests.reference.nibrs import Found, Outcome

__all__ = ["AS_OF", "TODAY", "as_found", "as_outcome", "judged", "side"]

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
        Records.of_lines(split(np.frombuffer(data, np.uint8))),
        rules=load_rule_set(rule_set) if rule_set else None,
        options=Options(as_of=as_of, also=also, without=without),
        ori_table=None if agencies is None else side(ORI_TABLE_SCHEMA, agencies),
        on_file=None if filed is None else side(ON_FILE_SCHEMA, filed),
    )


def as_found(findings: Findings) -> list[Found]:
    """Findings as the twin gives them."""

    def words(values: np.ndarray) -> list[str]:
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


def as_outcome(findings: Findings) -> Outcome:
    """What follows from findings, as the twin gives it."""
    status = findings.status
    codes: list[list[int]] = [[] for _ in status.status]
    for row, code in zip(status.rows.tolist(), status.codes.tolist(), strict=True):
        codes[row].append(code)
    rates = findings.rates
    records = [bytes(record)[:61].decode() for record in eds(findings)[:-1]]
    return Outcome(
        accepted=findings.reports.accepted.tolist(),
        rates={
            ori.decode("latin-1").ljust(9, "\0"): (reports, rejected, errors)
            for ori, reports, rejected, errors in zip(
                rates.ori.tolist(), rates.reports.tolist(), rates.rejected.tolist(), rates.errors.tolist(), strict=True
            )
        },
        status=status.status.tolist(),
        codes=[sorted(one) for one in codes],
        error_data_set=records,
    )
