"""`cji clear check|example`: tables of rules for the operation `clear`."""

from importlib.resources import files
from pathlib import Path

import click

from cji_client.errors import SpecError
from cji_client.spec import read_file_bytes
from cji_client.verbs.answers import CheckedRules, ExampleRules
from cji_core.command.common import FILE, Failure, explained
from cji_core.command.json_output import answers, print_answer, print_json
from cji_core.operations.clear import SHIPPED, RulesError, in_words, read_rules


@click.group()
def clear() -> None:
    """Check the rules of record clearance."""


@clear.command()
@click.argument("file", metavar="RULES", type=FILE)
@answers(CheckedRules)
@explained
def check(file: Path, *, as_json: bool) -> None:
    """Print the rules of the table RULES in words, or every mistake in it with a remedy.

    \b
    Example:
      cji clear check california.toml
    """  # noqa: D301 - \b is click's mark for text that it must not wrap
    try:
        rules = read_rules(read_file_bytes(file))
    except RulesError as error:
        for problem in error.problems:
            click.echo(f"{problem}\n  {problem.remedy}", err=True)
        mistakes = "one mistake" if len(error.problems) == 1 else f"{len(error.problems)} mistakes"
        raise Failure(f"{file.name}: {mistakes}", remedy="", status=2) from None
    if as_json:
        print_json(CheckedRules(rules=tuple(in_words(rules))))
        return
    for line in in_words(rules):
        click.echo(line)


@clear.command()
@click.argument("file", metavar="[RULES]", type=click.Path(path_type=Path), required=False)
@click.option("--table", type=click.Choice(SHIPPED), default=SHIPPED[0], show_default=True, help="Which table.")
@answers(ExampleRules)
@explained
def example(file: Path | None, *, table: str, as_json: bool) -> None:
    """Print a table that is shipped as an example, or write it to a new file RULES.

    \b
    Examples:
      cji clear example
      cji clear example --table michigan rules.toml
    """  # noqa: D301 - \b is click's mark for text that it must not wrap
    text = (files("cji_core.operations.clear") / f"{table}.toml").read_text(encoding="utf-8")
    if file is None:
        print_answer(ExampleRules(rules=text), text.removesuffix("\n"), as_json=as_json)
        return
    try:
        with file.open("x", encoding="utf-8") as new:
            new.write(text)
    except OSError as error:
        raise SpecError(f"{file} cannot be written ({error.strerror})", remedy="Choose another name.") from None
    if as_json:
        print_json(ExampleRules(file=str(file)))
