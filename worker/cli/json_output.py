"""`--json`: a verb prints one struct, which its option names and docs/json.md describes."""

from collections.abc import Callable
from typing import Any, TypeVar

import click
import msgspec

F = TypeVar("F", bound=Callable[..., Any])


class JsonOption(click.Option):
    """The option --json of a verb that prints one `answer`; the command gets `as_json`."""

    def __init__(self, *args: Any, answer: type[msgspec.Struct], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.answer = answer


def member(description: str) -> msgspec.Meta:
    """The description of a member, for its JSON Schema and its table."""
    return msgspec.Meta(description=description)


def answers(kind: type[msgspec.Struct]) -> Callable[[F], F]:
    """Give a verb the option --json: it prints one struct of this kind, by `print_answer` or `print_json`."""
    text = "Print JSON; docs/json.md lists its members."
    return click.option("--json", "as_json", is_flag=True, cls=JsonOption, answer=kind, help=text)


def answer_of(command: click.Command) -> type[msgspec.Struct] | None:
    """The kind of struct that a verb prints; None if it declares none."""
    return next((one.answer for one in command.params if isinstance(one, JsonOption)), None)


def print_json(answer: msgspec.Struct) -> None:
    """Print it on one line. TypeError for another kind than the running verb declares."""
    declared = answer_of(click.get_current_context().command)
    if type(answer) is not declared:
        raise TypeError(f"{type(answer).__name__} is not what this verb declares")
    click.echo(msgspec.json.encode(answer).decode())


def print_answer(answer: msgspec.Struct, text: str, *, as_json: bool) -> None:
    """Print it as JSON, else as `text`."""
    if as_json:
        print_json(answer)
    else:
        click.echo(text)
