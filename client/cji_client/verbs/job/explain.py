"""`cji job explain`: what the rules of a `deidentify` leave of the records, measured where the records are."""

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import click
import msgspec
import pyarrow as pa

from cji_client.errors import SpecError
from cji_client.files import read_file
from cji_client.sources import FittedSource, fit
from cji_client.spec import InputSpec
from cji_core.command.common import FILE, explained
from cji_core.command.json_output import answers, member, print_json
from cji_core.documents import convert
from cji_core.errors import Refusal
from cji_core.operations.deidentify import DEIDENTIFY, Deidentify
from cji_core.operations.parameters import ParametersError
from cji_operations.deidentify.explain import Left, Unique
from cji_operations.deidentify.explain import explain as measure

_SPEC_REMEDY = "Give a job spec with [input] and one operation of the kind deidentify; docs/job.md describes it."
_SHOWN = 0.0005  # shares below it are printed as none


class UniqueShare(msgspec.Struct, frozen=True, kw_only=True):
    """Persons whom columns, taken together, show to be alone."""

    columns: Annotated[tuple[str, ...], member("the columns")]
    values: Annotated[int, member("different values, or combinations of values")]
    share: Annotated[float, member("the share of persons that are alone")]


class TokenRanks(msgspec.Struct, frozen=True, kw_only=True):
    """Values of a column of tokens that their frequency gives away to those who know how frequent values are."""

    column: Annotated[str, member("the column")]
    values: Annotated[int, member("different values")]
    certain: Annotated[int, member("values, from the most frequent one, whose rank is certain")]
    share: Annotated[float, member("the share of persons, or rows, that have these values")]


class ShiftBesideDate(msgspec.Struct, frozen=True, kw_only=True):
    """A shifted date beside a readable one."""

    shifted: Annotated[str, member("the shifted column")]
    readable: Annotated[str, member("the readable column")]
    same_day: Annotated[float, member("the share of rows in which both are the same day")]


class Remains(msgspec.Struct, frozen=True, kw_only=True):
    """`cji job explain`: what the rules of a de-identification leave."""

    rows: Annotated[int, member("rows that were read")]
    complete: Annotated[bool, member("whether these are all rows")]
    person: Annotated[str, member('the column that names persons; "" if each row counts as one')]
    persons: Annotated[int, member("persons")]
    linked_by: Annotated[tuple[str, ...], member("columns that show which rows are of one person")]
    quasi_identifiers: Annotated[UniqueShare | None, member("of the quasi-identifiers of `small_classes`, before it")]
    readable: Annotated[UniqueShare | None, member("of all columns that stay readable")]
    alone: Annotated[tuple[UniqueShare, ...], member("of each of these by itself: objects of the kind UniqueShare")]
    tokens: Annotated[tuple[TokenRanks, ...], member("objects of the kind TokenRanks")]
    shifts: Annotated[tuple[ShiftBesideDate, ...], member("objects of the kind ShiftBesideDate")]
    texts: Annotated[tuple[str, ...], member("readable columns with prose")]
    neighbours: Annotated[float, member("the share of rows whose person is that of the row before")]
    sealed: Annotated[tuple[str, ...], member("columns that are encrypted, of which nothing was measured")] = ()


@click.command()
@click.argument("records", metavar="IN", type=FILE)
@click.option("--spec", "spec_file", type=FILE, required=True, help="job.toml: its [input] and its deidentify.")
@answers(Remains)
@explained
def explain(records: Path, *, spec_file: Path, as_json: bool) -> None:
    """Measure what the `deidentify` of a job spec leaves of the records of IN, before they are sealed.

    Nothing is sent, and no value of a record is printed: only how many persons are alone, which tokens their
    frequency gives away, which shifts can be read, where prose stays. The first million rows are read.

    \b
    Examples:
      cji job explain people.csv --spec job.toml
      cji job explain events.parquet --spec job.toml --json
    """  # noqa: D301 - \\b is click's mark for text that it must not wrap
    given, parameters = _spec(spec_file)
    fitted = fit(read_file(records, given), given)
    try:
        DEIDENTIFY.check_records(parameters, given.schema, frozenset(fitted.schema.names))
        schema, batches = _without(fitted)
        left = measure(batches, schema, parameters)
    except ParametersError as error:
        raise SpecError(f"deidentify: {error}", remedy=error.remedy) from None
    except Refusal:
        raise SpecError("the rules do not fit the columns of the records", remedy=_SPEC_REMEDY) from None
    if as_json:
        print_json(convert(msgspec.to_builtins(left) | {"sealed": fitted.sealed}, Remains))
        return
    for name in fitted.sealed:
        click.echo(f"{name}: encrypted, so nothing is measured of it here")
    for line in _lines(left, parameters):
        click.echo(line)


def _spec(path: Path) -> tuple[InputSpec, Deidentify]:
    """The [input] of a job spec, and its first `deidentify`."""

    def below(kind: type, name: object) -> object:
        if kind is not Path or not isinstance(name, str):
            raise ValueError("expected a file name")
        return path.parent / name

    try:
        table = tomllib.loads(path.read_text("utf-8"))
        found = next(one for one in table["operations"] if one["kind"] == DEIDENTIFY.name)
        given = convert(table["input"], InputSpec, dec_hook=below)
        return given, convert(found, Deidentify, dec_hook=below)
    except (OSError, ValueError, KeyError, TypeError, StopIteration):
        raise SpecError(f"{path.name} has no [input] and deidentify that can be read", remedy=_SPEC_REMEDY) from None


def _without(fitted: FittedSource) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    """The records without the columns that are encrypted."""
    readable = [field for field in fitted.schema if field.name not in fitted.sealed]
    schema = pa.schema(readable, metadata=fitted.schema.metadata)
    return schema, (batch.select(schema.names) for batch in fitted.open().batches)


def _lines(left: Left, parameters: Deidentify) -> Iterator[str]:
    read = "" if left.complete else ", the first of the file"
    who = f"{left.persons} persons ({left.person})" if left.person else "each a person"
    yield f"{left.rows} rows{read}, {who}"
    if left.linked_by:
        yield f"rows of a person are linked by {', '.join(left.linked_by)}: persons are compared by all their rows"
    small = parameters.small_classes
    if left.quasi_identifiers is not None and small is not None:
        yield f"quasi-identifiers: {_alone(left.quasi_identifiers)}, before classes below {small.k} are suppressed"
    else:
        yield "quasi-identifiers: none, because there is no small_classes"
    if left.readable is not None:
        yield f"all that stays readable: {_alone(left.readable)}"
        quasi = () if small is None else small.quasi_identifiers
        for one in left.alone:
            note = "" if one.columns[0] in quasi else "; not in small_classes"
            yield f"  {one.columns[0]}: {one.values} values, {_share(one.share)} alone{note}"
    for ranks in left.tokens:
        yield f"tokens of {ranks.column}: {ranks.values} values, {_given_away(ranks.certain, ranks.share)}"
    for shift in left.shifts:
        yield (
            f"shift of {shift.shifted} beside {shift.readable}: the same day in {_share(shift.same_day)} of the rows, "
            "which gives the shift away for all dates of the person"
        )
    for name in left.texts:
        yield f"prose stays in {name}: names in it are not found"
    if left.neighbours >= _SHOWN:
        yield f"order: {_share(left.neighbours)} of the rows follow a row of the same person; shuffle them"


def _alone(unique: Unique) -> str:
    return f"{_share(unique.share)} of the persons are alone with {', '.join(unique.columns)}"


def _given_away(certain: int, share: float) -> str:
    if not certain:
        return "none of which its frequency gives away"
    return f"the {certain} most frequent can be read by their rank ({_share(share)} of all)"


def _share(share: float) -> str:
    return f"{100 * share:.1f} %"
