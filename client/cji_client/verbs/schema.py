"""`cji schema list|show`: the worker's record schemas, column by column."""

from typing import Annotated

import click
import msgspec
from rich import box
from rich.console import Console
from rich.table import Table

from cji_client.errors import SpecError
from cji_client.verbs.answers import Schemas, SchemaSummary
from cji_core.command.common import explained
from cji_core.command.json_output import answers, member, print_document, print_json
from cji_core.operations.registry import SCHEMAS


class Column(msgspec.Struct, frozen=True, kw_only=True):
    """A column of a schema."""

    name: Annotated[str, member("its name")]
    types: Annotated[tuple[str, ...], member("Arrow types that it may have")]
    date: Annotated[bool, member("whether its values are dates")]
    data_class: Annotated[str, member("class of data, docs/operations.md")]
    required: Annotated[bool, member("whether records must have it")]


class Columns(msgspec.Struct, frozen=True, kw_only=True):
    """`cji schema show`: the columns of a schema of records."""

    schema: Annotated[str, member("schema id")]
    columns: Annotated[tuple[Column, ...], member("objects of the kind Column")]


@click.group()
def schema() -> None:
    """List the record schemas of inputs and outputs."""


@schema.command("list")
@answers(Schemas)
@explained
def list_(*, as_json: bool) -> None:
    """List all schemas with their number of columns.

    \b
    Examples:
      cji schema list
    """  # noqa: D301 - \b is click's mark for text that it must not wrap
    if as_json:
        print_json(Schemas(schemas=tuple(_summary(name) for name in SCHEMAS)))
        return
    table = Table("schema", "made by", "columns", "required", box=box.SIMPLE_HEAD)
    for one in map(_summary, SCHEMAS):
        made_by = "the worker" if one.output_only else "you"
        table.add_row(one.schema, made_by, str(one.columns), " ".join(one.required))
    Console().print(table)


def _summary(name: str) -> SchemaSummary:
    found = SCHEMAS[name]
    required = tuple(column.name for column in found.columns.values() if column.required)
    return SchemaSummary(schema=name, output_only=found.output_only, columns=len(found.columns), required=required)


@schema.command()
@click.argument("name", metavar="SCHEMA")
@answers(Columns)
@explained
def show(name: str, *, as_json: bool) -> None:
    """Show the columns of SCHEMA: Arrow types, dates, class of data, whether they are required.

    `disseminate` grants columns by their class of data (CJIS Security Policy 4.1).

    \b
    Examples:
      cji schema show person/1
      cji schema show chri_event/1 --json
    """  # noqa: D301 - \b is click's mark for text that it must not wrap
    found = SCHEMAS.get(name)
    if found is None:
        raise SpecError(f"schema {name!r} does not exist", remedy=f"Choose one of {', '.join(sorted(SCHEMAS))}.")
    if as_json:
        columns = [
            {
                "name": column.name,
                "types": [str(kind) for kind in column.types],
                "date": column.date,
                "data_class": column.data_class.value,
                "required": column.required,
            }
            for column in found.columns.values()
        ]
        print_document({"schema": name, "columns": columns}, indent=2)
        return
    table = Table("column", "types", "class of data", "required", box=box.SIMPLE_HEAD)
    for column in found.columns.values():
        types = " or ".join(str(kind) for kind in column.types) + (", a date" if column.date else "")
        table.add_row(column.name, types, column.data_class.value, "required" if column.required else "")
    Console().print(table)
