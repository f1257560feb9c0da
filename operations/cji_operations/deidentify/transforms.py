"""Transforms as functions of a batch: each rule bound to its column, its project and its key."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cji_core.errors import Stage
from cji_core.format.records import arrow
from cji_core.format.records.column import Bools, Ints, read
from cji_core.operations.deidentify.declaration import Code
from cji_core.operations.deidentify.rules import (
    AesToken,
    AgeBand,
    CmacToken,
    DateShift,
    DateTo,
    Ff1,
    Group,
    Hierarchy,
    HmacToken,
    Mask,
    Redact,
    Step,
    Token,
    Transform,
    ZipPrefix,
)
from cji_core.operations.parameters import bad_parameters
from cji_operations.deidentify import block_ciphers, dates, masks, redaction, tokens
from cji_operations.deidentify.outcome import Outcome

Kernel = Callable[[pa.Array], Outcome]


class OneBatch:
    """One batch while it is transformed. Several dates of a subject need its shift; it is computed once a batch."""

    __slots__ = ("columns", "shifts")

    def __init__(self, columns: pa.RecordBatch) -> None:
        self.columns = columns
        self.shifts: dict[int, tuple[Ints, Bools]] = {}


ApplyRule = Callable[[OneBatch, int], Outcome]


def bind(column: str, rule: Transform, *, project: str, schema: pa.Schema, key: bytes) -> ApplyRule:
    """The transform of a column that is not dropped.

    Raises: Refusal(BAD_PARAMETERS) at COMPUTE where a transform of text is to be applied to anything else.
    """
    match rule:
        case "keep" | Hierarchy():  # `small_classes` takes the steps, once it has seen all rows
            return _keep
        case "null":
            return _null
        case DateShift(subject_column=subject, max_days=max_days):
            _require_text(schema, column)
            _require_text(schema, subject)
            macs = tokens.Cmacs(tokens.shift_key(key, project=project))
            return partial(_shift, subject=schema.get_field_index(subject), macs=macs, max_days=max_days)
    _require_text(schema, column)
    kernel = _kernel(rule, project, key)
    return lambda batch, position: kernel(batch.columns.column(position))


def steps(column: str, rule: Hierarchy, *, schema: pa.Schema) -> tuple[Kernel, ...]:
    """Each step of a hierarchy. Raises as `bind`."""
    _require_text(schema, column)
    return tuple(map(_step, rule.steps))


def _step(rule: Step) -> Kernel:
    match rule:
        case "keep":
            return lambda array: Outcome(array=array)
        case "null":
            return lambda array: Outcome(array=pa.nulls(len(array), array.type))
        case Group():
            return partial(_group, names=rule.groups)
        case ZipPrefix():
            return partial(masks.zip_prefix, digits=rule.digits)
        case DateTo():
            return dates.date_to_year if rule.unit == "year" else dates.date_to_month
        case AgeBand():
            return partial(dates.age_band, width=rule.width, top=rule.top, as_of=rule.as_of)


def _expression(rule: Redact) -> str:
    try:
        return redaction.expression(rule.patterns, rule.also)
    except ValueError:  # Arrow's text quotes the pattern
        raise bad_parameters(Stage.COMPUTE) from None


def _kernel(rule: Transform, project: str, key: bytes) -> Kernel:
    """The kernel of a rule that reads its own column alone."""
    match rule:
        case Mask():
            return partial(masks.mask, keep_first=rule.keep_first, keep_last=rule.keep_last, fill=ord(rule.with_))
        case Redact():
            return partial(redaction.redact, pattern=_expression(rule))
        case DateTo() | ZipPrefix() | AgeBand() | Group():
            return _step(rule)
        case HmacToken() | CmacToken() | AesToken() | Ff1():
            return _token_kernel(rule, partial(tokens.token_key, key, project=project, domain=rule.domain))
    raise TypeError(type(rule).__name__)


def _token_kernel(rule: Token, derive: Callable[..., bytes]) -> Kernel:
    match rule:
        case HmacToken():
            return partial(tokens.tokens, macs=tokens.Macs(derive()), bits=rule.bits)
        case CmacToken():
            return partial(tokens.cmac_tokens, macs=tokens.Cmacs(derive(use="cji-cmac/1")), bits=rule.bits)
        case AesToken():
            return partial(block_ciphers.block_tokens, key=derive(use="cji-block/1"))
        case Ff1():
            return partial(block_ciphers.encrypt_ff1, key=derive(use="cji-ff1/1"), radix=rule.radix)


def _require_text(schema: pa.Schema, column: str) -> None:
    if column not in schema.names or schema.field(column).type not in (pa.utf8(), pa.binary()):
        raise bad_parameters(Stage.COMPUTE)


def _keep(batch: OneBatch, column: int) -> Outcome:
    return Outcome(array=batch.columns.column(column))


def _null(batch: OneBatch, column: int) -> Outcome:
    return Outcome(array=pa.nulls(batch.columns.num_rows, batch.columns.schema.field(column).type))


def _shift(batch: OneBatch, column: int, *, subject: int, macs: tokens.Cmacs, max_days: int) -> Outcome:
    if subject not in batch.shifts:  # key and bounds are the same for all rules of an operation
        batch.shifts[subject] = tokens.shift_days(batch.columns.column(subject), macs=macs, max_days=max_days)
    days, known = batch.shifts[subject]
    return dates.shift(batch.columns.column(column), days=days, known=known)


def _group(array: pa.Array, *, names: Mapping[str, Sequence[str]]) -> Outcome:
    """The name of each value's group; values are compared as exact bytes.

    A value that no group lists is null in the result and listed with its code; a missing value (null or empty) is null
    without a code.
    """
    listed = [(value.encode(), name) for name, values in names.items() for value in values]
    number = pc.index_in(array.view(pa.binary()), pa.array([value for value, _ in listed], pa.binary()))
    found = pa.array([name for _, name in listed], array.type).take(number)
    faults = ((Code.IN_NO_GROUP, np.flatnonzero(read(array).filled & ~arrow.present(number))),)
    return Outcome(array=found, faults=faults)
