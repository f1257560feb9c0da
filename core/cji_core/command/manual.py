"""`cji completion` and `cji man`: what a shell and a manual know of the command, made from the command itself."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Final

import click
import msgspec
from click.shell_completion import get_completion_class

from cji_core.command.common import Failure
from cji_core.command.json_output import answers, member, print_answer

_SHELLS: Final = ("bash", "zsh", "fish")


class Manual(msgspec.Struct, frozen=True, kw_only=True):
    """`cji man`: the pages of the manual."""

    folder: Annotated[str, member("their folder")]
    pages: Annotated[int, member("number of pages")]


@click.command()
@click.argument("shell", type=click.Choice(_SHELLS))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the script that completes `cji` in a shell: its verbs, options and file names.

    \b
    Examples:
      cji completion bash > ~/.local/share/bash-completion/completions/cji
      cji completion zsh > "${fpath[1]}/_cji"
      cji completion fish > ~/.config/fish/completions/cji.fish
    """  # noqa: D301 - \b is click\'s mark for text that it must not wrap
    found = get_completion_class(shell)
    if found is None:
        raise Failure(f"click has no completion for {shell}", remedy=f"Use one of {', '.join(_SHELLS)}.", status=2)
    click.echo(found(context.find_root().command, {}, "cji", "_CJI_COMPLETE").source())


@click.command()
@click.argument("folder", metavar="FOLDER", type=click.Path(file_okay=False, path_type=Path))
@answers(Manual)
@click.pass_context
def man(context: click.Context, folder: Path, *, as_json: bool) -> None:
    """Write a page of the manual for each verb into FOLDER.

    \b
    Example:
      cji man ~/.local/share/man/man1 && man cji-job-run
    """  # noqa: D301 - \b is click\'s mark for text that it must not wrap
    root = context.find_root()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        pages = 0
        for found in contexts(root.command, "cji", None):
            name = found.command_path.replace(" ", "-")
            (folder / f"{name}.1").write_text(page(found), "utf-8")
            pages += 1
    except OSError as error:
        raise Failure(
            f"{folder} cannot be written ({error.strerror})", remedy="Name another folder.", status=2
        ) from None
    print_answer(Manual(folder=str(folder), pages=pages), f"{pages} pages in {folder}", as_json=as_json)


def page(context: click.Context) -> str:
    """The manual page of a verb in roff (man(7))."""
    command, name = context.command, context.command_path.replace(" ", "-")
    usage = " ".join(command.collect_usage_pieces(context))
    lines = [
        f'.TH "{name.upper()}" 1',
        ".SH NAME",
        f"{name} \\- {_escaped(command.get_short_help_str(200))}",
        ".SH SYNOPSIS",
        f"{_escaped(context.command_path)} {_escaped(usage)}",
        ".SH DESCRIPTION",
        *_paragraphs(command.help or ""),
    ]
    options = [record for one in command.get_params(context) if (record := one.get_help_record(context))]
    if options:
        lines.append(".SH OPTIONS")
        for names, text in options:
            lines += [".TP", f"\\fB{_escaped(names)}\\fR", _escaped(text)]
    if isinstance(command, click.Group):
        lines.append(".SH VERBS")
        for verb in command.list_commands(context):
            found = command.get_command(context, verb)
            if found is not None and not found.hidden:
                lines += [".TP", f"\\fB{name}-{verb}\\fR(1)", _escaped(found.get_short_help_str(200))]
    return "\n".join(lines) + "\n"


def contexts(command: click.Command, name: str, parent: click.Context | None) -> Iterator[click.Context]:
    """A context of each verb below a command, groups before their verbs."""
    context = click.Context(command, info_name=name, parent=parent)
    yield context
    if isinstance(command, click.Group):
        for verb in command.list_commands(context):
            found = command.get_command(context, verb)
            if found is not None and not found.hidden:
                yield from contexts(found, verb, context)


def _paragraphs(text: str) -> Iterator[str]:
    """Help as roff: what follows click's mark for text that is not wrapped is not filled."""
    for paragraph in re.split(r"\n\s*\n", text.strip()):
        lines = [line.rstrip() for line in paragraph.splitlines()]
        if lines and lines[0].strip() == "\b":
            yield from (".PP", ".nf", *(_escaped(line) for line in lines[1:]), ".fi")
        else:
            yield from (".PP", _escaped(" ".join(line.strip() for line in lines)))


def _escaped(text: str) -> str:
    escaped = text.replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{escaped}" if escaped.startswith((".", "'")) else escaped
