"""`deidentify`: one rule for every input column, applied batch by batch.

    keep         the column as it is, not copied
    drop         no such column in the output
    null         the column, every value null
    mask         every byte but the first and last few replaced
    hmac_token   a keyed pseudonym; joins within a project and a domain
    generalise   a date to its year or month, a ZIP code to its prefix, a date of birth to an age band
    date_shift   all dates of a subject moved by the same secret number of days

Invariants:
* Every input column has exactly one rule, and no rule names another column; else BAD_PARAMETERS.
* A value that does not fit its transform is null in the output, and its row is PARTLY_USED with a code of
  `worker.compute.codes`. It is never passed in clear. A missing value (null or empty) is null without a code.
* Columns keep their name and their type, so the output is of the input's record schema, with fewer columns.
* All date shifts of an operation have the same bounds, so that one subject has one shift.
"""

import datetime
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from worker.compute.kernels import dates, text, tokens
from worker.compute.kernels.column import Bools, Ints, Outcome
from worker.compute.operation import Applied, Context, Part, bad_parameters
from worker.errors import Reason, Refusal, Stage
from worker.records import RowStatus, Status, tagged
from worker.records import check as check_schema
from worker.wire.v1 import worker_pb2

__all__ = ["SCHEMAS", "Deidentify", "check", "needs_project_key", "prepare"]

MAX_KEPT_BYTES: Final = 32  # of a mask: more is no mask
MAX_SHIFT_DAYS: Final = 3650
MAX_BAND_YEARS: Final = 50
MAX_TOP_AGE: Final = 120  # Safe Harbor asks for 90 at most: 45 CFR 164.514(b)(2)(i)(C)
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,63}")  # of projects and domains; no NUL, see kernels.tokens
_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_KEYED: Final = ("hmac_token", "date_shift")
SCHEMAS: Final = ("person/1", "hotfile/1", "chri_event/1")  # a NIBRS line mixes data elements: no rule could fit it


class _Batch:
    """One batch at work. Several dates of a subject ask for its shift; it is computed once a batch."""

    __slots__ = ("columns", "shifts")

    def __init__(self, columns: pa.RecordBatch) -> None:
        self.columns = columns
        self.shifts: dict[int, tuple[Ints, Bools]] = {}


Transform = Callable[[_Batch, int], Outcome]


@dataclass(frozen=True, slots=True, kw_only=True)
class Deidentify:
    """A prepared operation; made by `prepare` alone. It holds keys, so its repr shows the schema only."""

    output_schema: pa.Schema
    output_schema_id: str
    transforms: tuple[tuple[int, Transform], ...] = field(repr=False)

    @property
    def sources(self) -> npt.NDArray[np.int16]:
        """For each output column, the position of its input column."""
        return np.array([column for column, _ in self.transforms], np.int16)

    @property
    def parts(self) -> tuple[Part, ...]:
        """None."""
        return ()

    def apply(self, batch: pa.RecordBatch) -> Applied:
        """Apply the rules; see BatchOperation."""
        status = RowStatus.all_ok(batch.num_rows)
        work, arrays = _Batch(batch), []
        for column, transform in self.transforms:
            outcome = transform(work, column)
            arrays.append(outcome.array)
            for code, rows in outcome.faults:
                status = status.found(rows, status=Status.PARTLY_USED, code=code, column=column)
        return Applied(batch=pa.RecordBatch.from_arrays(arrays, schema=self.output_schema), status=status)

    def finish(self) -> Mapping[str, Iterable[pa.RecordBatch]]:
        """Nothing is left."""
        return {}


def needs_project_key(parameters: worker_pb2.Deidentify) -> bool:
    """Whether any rule uses the project key."""
    return any(rule.WhichOneof("transform") in _KEYED for rule in parameters.columns)


def check(parameters: worker_pb2.Deidentify) -> None:
    """Refuse parameters that are wrong for every input. Raises: Refusal(BAD_PARAMETERS) at ADMIT."""
    names = [rule.column for rule in parameters.columns]
    kinds = {rule.WhichOneof("transform") for rule in parameters.columns}
    good = (
        len(set(names)) == len(names)
        and all(names)
        and bool(kinds - {"drop"})  # something must be left
        and all(_is_good(rule) for rule in parameters.columns)
        and len({rule.date_shift.max_days for rule in parameters.columns if rule.HasField("date_shift")}) <= 1
    )
    if needs_project_key(parameters):
        good = good and _is_name(parameters.project) and bool(parameters.wrapped_project_key)
    if not good:
        raise bad_parameters(Stage.ADMIT)


def _is_good(rule: worker_pb2.ColumnRule) -> bool:
    match rule.WhichOneof("transform"):
        case "keep" | "drop" | "null":
            return True
        case "mask":
            fill = getattr(rule.mask, "with")  # a keyword of Python, so not an attribute that can be written
            return (
                rule.mask.keep_first + rule.mask.keep_last <= MAX_KEPT_BYTES and len(fill) == 1 and " " < fill < "\x7f"
            )
        case "hmac_token":
            return rule.hmac_token.bits in tokens.TOKEN_BITS and _is_name(rule.hmac_token.domain)
        case "date_shift":
            return bool(rule.date_shift.subject_column) and 1 <= rule.date_shift.max_days <= MAX_SHIFT_DAYS
        case "generalise":
            return _is_good_generalisation(rule.generalise)
        case _:
            return False


def _is_good_generalisation(rule: worker_pb2.Generalise) -> bool:
    match rule.WhichOneof("method"):
        case "date_to":
            return rule.date_to.unit in (worker_pb2.DateTo.YEAR, worker_pb2.DateTo.MONTH)
        case "zip_prefix":
            return 1 <= rule.zip_prefix.digits <= 3
        case "age_band":
            band = rule.age_band
            return 1 <= band.width <= min(MAX_BAND_YEARS, band.top) and band.top <= MAX_TOP_AGE and _is_day(band.as_of)
        case _:
            return False


def _is_name(value: str) -> bool:
    return _NAME.fullmatch(value) is not None


def _is_day(value: str) -> bool:
    try:
        return _DAY.fullmatch(value) is not None and bool(datetime.date.fromisoformat(value))
    except ValueError:
        return False


def prepare(parameters: worker_pb2.Deidentify, schema_id: str, schema: pa.Schema, context: Context) -> Deidentify:
    """Bind checked parameters to the columns of one input part.

    The project key is 32 bytes, or None where no rule needs it. Raises: Refusal(SCHEMA_MISMATCH) when `schema` is
    not `schema_id` or has no columns to judge one by one; Refusal(BAD_PARAMETERS) when rules and columns do not
    match, or the key is missing or of another length.
    """
    check(parameters)
    check_schema(schema_id, schema)
    if schema_id not in SCHEMAS:
        raise Refusal(Reason.SCHEMA_MISMATCH, stage=Stage.COMPUTE)
    rules = {rule.column: rule for rule in parameters.columns}
    if rules.keys() != set(schema.names):
        raise bad_parameters(Stage.COMPUTE)
    key = context.project_key or b""
    if needs_project_key(parameters) and len(key) != tokens.PROJECT_KEY_BYTES:
        raise bad_parameters(Stage.COMPUTE)
    transforms, fields = [], []
    for position, column in enumerate(schema):
        rule = rules[column.name]
        if rule.HasField("drop"):
            continue
        transforms.append((position, _transform(rule, parameters.project, schema, key)))
        fields.append(pa.field(column.name, column.type))
    return Deidentify(output_schema=tagged(schema_id, fields), output_schema_id=schema_id, transforms=tuple(transforms))


def _transform(rule: worker_pb2.ColumnRule, project: str, schema: pa.Schema, key: bytes) -> Transform:
    kind = rule.WhichOneof("transform")
    if kind == "keep":
        return _keep
    if kind == "null":
        return _null
    if not _is_text(schema, rule.column):
        raise bad_parameters(Stage.COMPUTE)
    if kind == "date_shift":
        if not _is_text(schema, rule.date_shift.subject_column):
            raise bad_parameters(Stage.COMPUTE)
        return partial(
            _shift,
            subject=schema.get_field_index(rule.date_shift.subject_column),
            key=tokens.shift_key(key, project=project),
            max_days=rule.date_shift.max_days,
        )
    kernel = _kernel(rule, project, key)
    return lambda batch, column: kernel(batch.columns.column(column))


def _kernel(rule: worker_pb2.ColumnRule, project: str, key: bytes) -> Callable[[pa.Array], Outcome]:
    """The kernel of a rule that looks at its own column alone."""
    if rule.HasField("hmac_token"):
        derived = tokens.token_key(key, project=project, domain=rule.hmac_token.domain)
        return partial(tokens.tokens, key=derived, bits=rule.hmac_token.bits)
    if rule.HasField("mask"):
        fill = ord(getattr(rule.mask, "with"))
        return partial(text.mask, keep_first=rule.mask.keep_first, keep_last=rule.mask.keep_last, fill=fill)
    method = rule.generalise
    if method.HasField("zip_prefix"):
        return partial(text.zip_prefix, digits=method.zip_prefix.digits)
    if method.HasField("date_to"):
        return dates.date_to_year if method.date_to.unit == worker_pb2.DateTo.YEAR else dates.date_to_month
    as_of = datetime.date.fromisoformat(method.age_band.as_of)
    return partial(dates.age_band, width=method.age_band.width, top=method.age_band.top, as_of=as_of)


def _is_text(schema: pa.Schema, column: str) -> bool:
    return column in schema.names and schema.field(column).type in (pa.utf8(), pa.binary())


def _keep(batch: _Batch, column: int) -> Outcome:
    return Outcome(array=batch.columns.column(column))


def _null(batch: _Batch, column: int) -> Outcome:
    return Outcome(array=pa.nulls(batch.columns.num_rows, batch.columns.schema.field(column).type))


def _shift(batch: _Batch, column: int, *, subject: int, key: bytes, max_days: int) -> Outcome:
    if subject not in batch.shifts:  # key and bounds are the same for all rules of an operation
        batch.shifts[subject] = tokens.shift_days(batch.columns.column(subject), key=key, max_days=max_days)
    days, known = batch.shifts[subject]
    return dates.shift(batch.columns.column(column), days=days, known=known)
