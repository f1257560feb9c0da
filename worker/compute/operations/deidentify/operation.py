"""`deidentify`: one rule for every input column, applied batch by batch.

    keep         the column as it is, not copied
    drop         no such column in the output
    null         the column, every value null
    mask         every byte but the first and last few replaced
    hmac_token   a keyed pseudonym; joins within a project and a domain
    aes_token    the same for values of at most 15 bytes, which the project key turns back
    ff1          format-preserving encryption: another value of the same length and alphabet
    generalise   a date to its year or month, a ZIP code to its prefix, a date of birth to an age band
    date_shift   all dates of a subject moved by the same secret number of days

Invariants:
* Every input column has exactly one rule, and no rule names another column; else BAD_PARAMETERS.
* A value that does not fit its transform is null in the output, and its row is PARTLY_USED with a code of
  `worker.compute.status_codes`. It is never passed in clear. A missing value (null or empty) is null without a code.
* Columns keep their name and their type, so the output is of the input's record schema, with fewer columns.
* All date shifts of an operation have the same bounds, so that one subject has one shift.

With `small_classes` the operation is of scope table: see `k_anonymity`. With `token_map` every token
is listed beside the value that it stands for, once for each column, in the order of first appearance.
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

from worker.compute.kernels.column import Bools, Ints
from worker.compute.kernels.ff1 import Ecb
from worker.compute.operation import Applied, Context, Part, bad_parameters
from worker.compute.operations.deidentify import block_ciphers, dates, masks, tokens
from worker.compute.operations.deidentify.k_anonymity import K_ANONYMITY, MAX_K, SmallClasses
from worker.compute.operations.deidentify.outcome import Outcome
from worker.compute.operations.deidentify.token_map import TOKEN_MAP, TokenMap
from worker.errors import Reason, Refusal, Stage
from worker.records import METADATA_KEY, RowStatus, Status, check_schema, tagged
from worker.wire.v1 import worker_pb2

__all__ = ["ACCEPTS", "NAME", "Deidentify", "check", "needs_project_key", "output_parts", "prepare"]

MAX_KEPT_BYTES: Final = 32  # of a mask: more is no mask
MAX_SHIFT_DAYS: Final = 3650
MAX_BAND_YEARS: Final = 50
MAX_TOP_AGE: Final = 120  # Safe Harbor asks for 90 at most: 45 CFR 164.514(b)(2)(i)(C)
NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,63}")  # of projects and domains; no NUL, see kernels.tokens
_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_TOKENS: Final = ("hmac_token", "aes_token", "ff1")
_KEYED: Final = (*_TOKENS, "date_shift")
ACCEPTS: Final = frozenset(
    ("person/1", "hotfile/1", "chri_event/1")
)  # a NIBRS line mixes data elements: no rule could fit it


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
    mapped: frozenset[int] = frozenset()
    token_map: TokenMap | None = field(default=None, repr=False)

    @property
    def sources(self) -> npt.NDArray[np.int16]:
        """For each output column, the position of its input column."""
        return np.array([column for column, _ in self.transforms], np.int16)

    @property
    def parts(self) -> tuple[Part, ...]:
        """The token map, where it was asked for."""
        return () if self.token_map is None else (TOKEN_MAP,)

    def apply(self, batch: pa.RecordBatch) -> Applied:
        """Apply the rules; see BatchOperation."""
        status = RowStatus.all_ok(batch.num_rows)
        work, arrays = _Batch(batch), []
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


def needs_project_key(parameters: worker_pb2.Deidentify) -> bool:
    """Whether any rule uses the project key."""
    return any(rule.WhichOneof("transform") in _KEYED for rule in parameters.columns)


def output_parts(parameters: worker_pb2.Deidentify) -> tuple[tuple[str, str], ...]:
    """(name, schema id) of the outputs besides the result."""
    asked = ((parameters.token_map, TOKEN_MAP), (parameters.HasField("small_classes"), K_ANONYMITY))
    return tuple((part.name, part.schema.metadata[METADATA_KEY].decode()) for there, part in asked if there)


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
    good = good and (not parameters.token_map or bool(kinds & set(_TOKENS)))
    if parameters.HasField("small_classes"):
        good = good and _is_good_suppression(parameters)
    if needs_project_key(parameters):
        good = good and _is_name(parameters.project) and bool(parameters.wrapped_project_key)
    if not good:
        raise bad_parameters(Stage.ADMIT)


def _is_good_suppression(parameters: worker_pb2.Deidentify) -> bool:
    columns = parameters.small_classes.quasi_identifiers
    left = {rule.column for rule in parameters.columns if not rule.HasField("drop")}
    distinct = len(set(columns)) == len(columns) > 0
    return distinct and left.issuperset(columns) and 2 <= parameters.small_classes.k <= MAX_K


def _is_good(rule: worker_pb2.ColumnRule) -> bool:
    match rule.WhichOneof("transform"):
        case "keep" | "drop" | "null":
            return True
        case "mask":
            fill = getattr(rule.mask, "with")  # a keyword of Python, so not an attribute that can be written
            return (
                rule.mask.keep_first + rule.mask.keep_last <= MAX_KEPT_BYTES and len(fill) == 1 and " " < fill < "\x7f"
            )
        case "hmac_token" | "aes_token" | "ff1":
            return _is_good_token(rule)
        case "date_shift":
            return bool(rule.date_shift.subject_column) and 1 <= rule.date_shift.max_days <= MAX_SHIFT_DAYS
        case "generalise":
            return _is_good_generalisation(rule.generalise)
        case _:
            return False


def _is_good_token(rule: worker_pb2.ColumnRule) -> bool:
    bits, radix = rule.hmac_token.bits, rule.ff1.radix
    sized = rule.HasField("aes_token") or bits in tokens.TOKEN_BITS or radix in block_ciphers.RADIXES
    return sized and _is_name(getattr(rule, str(rule.WhichOneof("transform"))).domain)


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
    return NAME.fullmatch(value) is not None


def _is_day(value: str) -> bool:
    try:
        return _DAY.fullmatch(value) is not None and bool(datetime.date.fromisoformat(value))
    except ValueError:
        return False


def prepare(
    parameters: worker_pb2.Deidentify, schema_id: str, schema: pa.Schema, context: Context
) -> Deidentify | SmallClasses:
    """Bind checked parameters to the columns of one input part.

    The project key is 32 bytes, or None where no rule needs it. Raises: Refusal(SCHEMA_MISMATCH) when `schema` is
    not `schema_id` or has no columns to judge one by one; Refusal(BAD_PARAMETERS) when rules and columns do not
    match, or the key is missing or of another length.
    """
    check(parameters)
    check_schema(schema_id, schema)
    if schema_id not in ACCEPTS:
        raise Refusal(Reason.SCHEMA_MISMATCH, stage=Stage.COMPUTE)
    rules = {rule.column: rule for rule in parameters.columns}
    if rules.keys() != set(schema.names):
        raise bad_parameters(Stage.COMPUTE)
    key = context.project_key or b""
    if needs_project_key(parameters) and len(key) != tokens.PROJECT_KEY_BYTES:
        raise bad_parameters(Stage.COMPUTE)
    transforms, fields, mapped = [], [], set[int]()
    for position, column in enumerate(schema):
        rule = rules[column.name]
        if rule.HasField("drop"):
            continue
        if rule.WhichOneof("transform") in _TOKENS:
            mapped.add(position)
        transforms.append((position, _transform(rule, parameters.project, schema, key)))
        fields.append(pa.field(column.name, column.type))
    output = tagged(schema_id, fields)
    prepared = Deidentify(
        output_schema=output,
        output_schema_id=schema_id,
        transforms=tuple(transforms),
        mapped=frozenset(mapped),
        token_map=TokenMap() if parameters.token_map else None,
    )
    if not parameters.HasField("small_classes"):
        return prepared
    small = parameters.small_classes
    return SmallClasses(inner=prepared, columns=tuple(map(output.get_field_index, small.quasi_identifiers)), k=small.k)


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
            encrypt=tokens.ecb(tokens.shift_key(key, project=project)),
            max_days=rule.date_shift.max_days,
        )
    kernel = _kernel(rule, project, key)
    return lambda batch, column: kernel(batch.columns.column(column))


def _kernel(rule: worker_pb2.ColumnRule, project: str, key: bytes) -> Callable[[pa.Array], Outcome]:
    """The kernel of a rule that looks at its own column alone."""
    if rule.WhichOneof("transform") in _TOKENS:
        return _token_kernel(rule, project, key)
    if rule.HasField("mask"):
        fill = ord(getattr(rule.mask, "with"))
        return partial(masks.mask, keep_first=rule.mask.keep_first, keep_last=rule.mask.keep_last, fill=fill)
    method = rule.generalise
    if method.HasField("zip_prefix"):
        return partial(masks.zip_prefix, digits=method.zip_prefix.digits)
    if method.HasField("date_to"):
        return dates.date_to_year if method.date_to.unit == worker_pb2.DateTo.YEAR else dates.date_to_month
    as_of = datetime.date.fromisoformat(method.age_band.as_of)
    return partial(dates.age_band, width=method.age_band.width, top=method.age_band.top, as_of=as_of)


def _token_kernel(rule: worker_pb2.ColumnRule, project: str, key: bytes) -> Callable[[pa.Array], Outcome]:
    derive = partial(tokens.token_key, key, project=project)
    if rule.HasField("hmac_token"):
        macs = tokens.Macs(derive(domain=rule.hmac_token.domain))
        return partial(tokens.tokens, macs=macs, bits=rule.hmac_token.bits)
    if rule.HasField("aes_token"):
        return partial(block_ciphers.block_tokens, key=derive(domain=rule.aes_token.domain, use="cji-block/1"))
    return partial(block_ciphers.encrypt_ff1, key=derive(domain=rule.ff1.domain, use="cji-ff1/1"), radix=rule.ff1.radix)


def _is_text(schema: pa.Schema, column: str) -> bool:
    return column in schema.names and schema.field(column).type in (pa.utf8(), pa.binary())


def _keep(batch: _Batch, column: int) -> Outcome:
    return Outcome(array=batch.columns.column(column))


def _null(batch: _Batch, column: int) -> Outcome:
    return Outcome(array=pa.nulls(batch.columns.num_rows, batch.columns.schema.field(column).type))


def _shift(batch: _Batch, column: int, *, subject: int, encrypt: Ecb, max_days: int) -> Outcome:
    if subject not in batch.shifts:  # key and bounds are the same for all rules of an operation
        batch.shifts[subject] = tokens.shift_days(batch.columns.column(subject), encrypt=encrypt, max_days=max_days)
    days, known = batch.shifts[subject]
    return dates.shift(batch.columns.column(column), days=days, known=known)
