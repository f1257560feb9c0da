"""`cji link count`: the pairs of every blocking rule, where the records are."""

import tomllib
from pathlib import Path
from typing import Annotated

import click
import msgspec
from msgspec.structs import replace
from rich import box
from rich.console import Console
from rich.table import Table

from cji_client.errors import ColumnError, SpecError
from cji_client.files import read_file
from cji_client.sources import fit
from cji_client.spec import InputSpec, read_file_bytes
from cji_core.command.common import FILE, explained
from cji_core.command.json_output import answers, member, print_document
from cji_core.documents import convert
from cji_core.errors import Refusal
from cji_core.operations.link import Link
from cji_core.operations.parameters import ParametersError
from cji_operations.link.tightening import Counts, RuleCount, count_rules

_SPEC_REMEDY = "Give a job spec with [input] and one operation of the kind link; docs/job.md describes it."


class CountedRule(msgspec.Struct, frozen=True, kw_only=True):
    """Pairs that a blocking rule makes."""

    rule: Annotated[str, member("the rule")]
    blocks: Annotated[int, member("blocks")]
    largest: Annotated[int, member("records in the largest block")]
    pairs: Annotated[int, member("pairs")]
    left_out: Annotated[bool, member("whether it is left out of a job, whole")]
    oversized: Annotated[int, member("blocks that stay too large, and are left out")]


class CountedPairs(msgspec.Struct, frozen=True, kw_only=True):
    """`cji link count`: pairs of every blocking rule."""

    accepted: Annotated[bool, member("whether a worker takes a job of this size")]
    records: Annotated[int, member("records that are compared")]
    pairs: Annotated[int, member("pairs of all rules")]
    deterministic: Annotated[int, member("pairs of deterministic rules, which have the same limit")]
    relatives: Annotated[int, member("pairs of the rule of relatives, which has the same limit")]
    limit: Annotated[int, member("the limit of the job")]
    rules: Annotated[tuple[CountedRule, ...], member("objects of the kind CountedRule")]
    widest: Annotated[str, member("the rule with the most pairs")]
    tighter: Annotated[tuple[CountedRule, ...], member("rules that have fewer than the widest")]


@click.command()
@click.argument("records", metavar="RECORDS", type=FILE)
@click.option("--spec", "spec_file", type=FILE, help="job.toml: its [input] and its link; otherwise the defaults.")
@click.option("--schema", default="person/1", show_default=True, help="Schema of the records, without --spec.")
@answers(CountedPairs)
@explained
def count(records: Path, *, spec_file: Path | None, schema: str, as_json: bool) -> None:
    """Count the pairs of every blocking rule on RECORDS, and suggest tighter rules for the one with the most.

    Nothing is sent. A worker decides by the same count whether a job is too large; its refusal does not name the rule
    with too many pairs, because that depends on the records. A side table link_to is not counted.

    \b
    Examples:
      cji link count people.csv
      cji link count people.parquet --spec job.toml --json
    """  # noqa: D301 - \\b is click's mark for text that it must not wrap
    given, parameters = (InputSpec(schema=schema), Link()) if spec_file is None else linking_of(spec_file)
    fitted = fit(read_file(records, given), given)
    if fitted.sealed:
        raise ColumnError(
            f"pairs cannot be counted here: {', '.join(fitted.sealed)} of the records are encrypted",
            columns=fitted.sealed,
            remedy="Send the job: the worker counts pairs before it compares, and refuses too many with a reason.",
        )
    try:
        found = count_rules(list(fitted.open().batches), fitted.schema, parameters)
    except Refusal:
        raise SpecError(
            "the model does not fit the columns of the records", remedy="Compare it with docs/operations.md, `link`."
        ) from None
    if as_json:
        print_document(_document(found, parameters), indent=2)
    else:
        _print(found, parameters)


def linking_of(path: Path) -> tuple[InputSpec, Link]:
    """The [input] of a job spec, and its first `link` with the Splink model that it names."""

    def below(kind: type, name: object) -> object:
        if kind is not Path or not isinstance(name, str):
            raise ValueError("expected a file name")
        return path.parent / name

    try:
        table = tomllib.loads(path.read_text("utf-8"))
        given = convert(table["input"], InputSpec, dec_hook=below)
        linking = next(one for one in table["operations"] if one["kind"] == "link")
        parameters = convert(linking, Link, dec_hook=below)
    except (OSError, ValueError, KeyError, TypeError, StopIteration):
        raise SpecError(f"{path.name} has no [input] and link that can be read", remedy=_SPEC_REMEDY) from None
    if parameters.splink is None:
        return given, parameters
    try:
        model = Link.from_splink(read_file_bytes(parameters.splink)).model
    except ParametersError as error:
        raise SpecError(str(error), remedy=error.remedy) from None
    return given, replace(parameters, splink=None, model=model)


def _document(found: Counts, parameters: Link) -> dict[str, object]:
    def row(one: RuleCount) -> dict[str, object]:
        return {
            "rule": one.rule.label,
            "blocks": one.blocks,
            "largest": one.largest,
            "pairs": one.pairs,
            "left_out": one.left_out,
            "oversized": one.oversized,
        }

    return {
        "accepted": found.accepted,
        "records": found.records,
        "pairs": found.pairs,
        "deterministic": found.deterministic,
        "relatives": found.relatives,
        "limit": parameters.pairs,
        "rules": [row(one) for one in found.rules],
        "widest": found.widest.rule.label,
        "tighter": [row(one) for one in found.tighter],
    }


def _print(found: Counts, parameters: Link) -> None:
    console = Console()
    _table(console, f"Pairs of {found.records} records that are compared", found.rules)
    of = [(found.pairs, "pairs")]
    of += [(found.deterministic, "pairs of deterministic rules"), (found.relatives, "pairs of relatives")]
    for number, what in of:
        if number or what == "pairs":
            verdict = "more than" if number > parameters.pairs else "within"
            console.print(f"{number} {what}, {verdict} the limit of {parameters.pairs} (`pairs`)", highlight=False)
    if not found.accepted:
        console.print("A worker refuses this job.")
    if found.tighter:
        _table(console, f"Tighter than {found.widest.rule.label}, which has the most", found.tighter)


def _table(console: Console, title: str, rows: tuple[RuleCount, ...]) -> None:
    table = Table("rule", title=title, title_justify="left", box=box.SIMPLE_HEAD)
    for name in ("blocks", "largest", "pairs"):
        table.add_column(name, justify="right")
    table.add_column("")
    for one in rows:
        figures = (str(value) for value in (one.blocks, one.largest, one.pairs))
        oversized = f"{one.oversized} blocks left out" if one.oversized else ""
        table.add_row(one.rule.label, *figures, "left out" if one.left_out else oversized)
    console.print(table)
