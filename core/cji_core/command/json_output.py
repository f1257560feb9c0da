"""`--json`: a verb prints the struct that its option names and docs/json.md describes, or a list of it.

Everything is ASCII: text of a stranger cannot move the cursor.
"""

import json
import warnings
from collections.abc import Callable
from typing import Any, TypeVar

import click
import msgspec

from cji_core import documents, strict

F = TypeVar("F", bound=Callable[..., Any])


class JsonOption(click.Option):
    """The option --json of a verb that prints an `answer`, or with `listed` an array of such; it gives `as_json`."""

    def __init__(self, *args: Any, answer: type[msgspec.Struct], listed: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.answer = answer
        self.listed = listed


def member(description: str) -> msgspec.Meta:
    """The description of a member, for its JSON Schema and its table."""
    return msgspec.Meta(description=description)


def answers(kind: type[msgspec.Struct], *, listed: bool = False) -> Callable[[F], F]:
    """Give a verb the option --json: it prints structs of this kind, with `listed` as an array."""
    text = "Print JSON; docs/json.md lists its members."
    return click.option("--json", "as_json", is_flag=True, cls=JsonOption, answer=kind, listed=listed, help=text)


def json_option(command: click.Command) -> JsonOption | None:
    """The option of a verb that declares what it prints; None without one."""
    return next((one for one in command.params if isinstance(one, JsonOption)), None)


def as_text(answer: msgspec.Struct) -> str:
    """A struct as JSON on one line."""
    return json.dumps(msgspec.to_builtins(answer), separators=(",", ":"))


def print_json(answer: msgspec.Struct) -> None:
    """Print it on one line. TypeError for another kind than the running verb declares."""
    declared = json_option(click.get_current_context().command)
    if declared is None or declared.listed or type(answer) is not declared.answer:
        raise TypeError(f"{type(answer).__name__} is not what this verb declares")
    click.echo(as_text(answer))


def print_answer(answer: msgspec.Struct, text: str, *, as_json: bool) -> None:
    """Print it as JSON, else as `text`."""
    if as_json:
        print_json(answer)
    else:
        click.echo(text)


class UndeclaredOutput(UserWarning):
    """Warns that a verb printed other members than docs/json.md says; in tests it is an error."""


def print_document(document: object, *, indent: int | None = None) -> None:
    """Print builtin values that have exactly the members of what the running verb declares.

    The verb's work is done, so others are printed as well, with an UndeclaredOutput on standard error.
    """
    declared = json_option(click.get_current_context().command)
    if declared is None:
        raise TypeError("this verb declares nothing")
    text = json.dumps(document, indent=indent)
    if (fault := _other_members(text, declared)) is not None:
        warnings.warn(f"{fault}: please report this", UndeclaredOutput, stacklevel=2)
    click.echo(text)


def _other_members(text: str, declared: JsonOption) -> str | None:
    """How a document differs from what is declared; None if it does not."""
    kind: Any = list[declared.answer] if declared.listed else declared.answer  # type: ignore[name-defined]
    try:
        found = documents.decode(text.encode(), kind, limit=len(text))
    except strict.StrictError as error:
        return f"not what this verb declares: {error}"
    if json.loads(json.dumps(msgspec.to_builtins(found))) != strict.parse(text.encode(), limit=len(text)):
        return f"not what this verb declares: {declared.answer.__name__} lacks a member"
    return None
