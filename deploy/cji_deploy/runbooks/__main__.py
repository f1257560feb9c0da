"""`python -m cji_deploy.runbooks NAME`, and each runbook by its own name in this folder: runs it, or prints it."""

import argparse
import re
import sys
from pathlib import Path
from typing import Final

from cji_deploy.runbooks.books import BOOKS
from cji_deploy.runbooks.pages import write_pages
from cji_deploy.runbooks.run import Execution, dry_run
from cji_deploy.runbooks.steps import Runbook
from cji_deploy.runbooks.values import RunbookError, read_site

__all__ = ["main"]

_PAGES: Final = "pages"


def main(arguments: list[str], *, name: str = "") -> int:
    """Exit status: 0 done, 1 a step failed, 2 unusable command line or site."""
    if not name and arguments[:1] == [_PAGES]:
        write_pages(Path(__file__).parents[2] / "runbooks")
        return 0
    if not name and (not arguments or arguments[0] not in BOOKS):
        print("usage: python -m cji_deploy.runbooks NAME [--dry-run] [--site FILE]\n")
        for book in BOOKS.values():
            print(f"  {book.name:20} {book.title}. {book.when}")
        return 0 if arguments in ([], ["--help"], ["-h"]) else 2
    book, rest = (BOOKS[name], arguments) if name else (BOOKS[arguments[0]], arguments[1:])
    return _run(book, _parser(book).parse_args(rest))


def _parser(book: Runbook) -> argparse.ArgumentParser:
    values = "\n".join(f"  {name:20} {text}" for name, text in book.needs.items())
    options = "\n".join(f"  --with {name:13} {text}" for name, text in book.options.items())
    parser = argparse.ArgumentParser(
        prog=book.name,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description=f"{book.title}. {book.when}",
        epilog=f"values of the site:\n{values}\n\noptional steps:\n{options or '  none'}\n\n"
        f"example:\n  deploy/runbooks/{book.name} --site site.toml --dry-run",
    )
    parser.add_argument("--dry-run", action="store_true", help="print each command with its reason; execute nothing")
    parser.add_argument("--site", type=Path, help="TOML file with the values; see deploy/runbooks/site.example.toml")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a value; may be repeated")
    parser.add_argument(
        "--with",
        action="append",
        default=[],
        dest="chosen",
        choices=sorted(book.options) or None,
        help="an optional step",
    )
    parser.add_argument("--yes", action="store_true", help="a person's steps are done already: do not ask")
    parser.add_argument(
        "--drill", action="store_true", help="against a simulation: print the steps that only a real one can do"
    )
    parser.add_argument("--every", type=float, default=10.0, metavar="S", help="seconds between two tries of a check")
    return parser


def _run(book: Runbook, options: argparse.Namespace) -> int:
    def confirm(what: str) -> bool:
        if options.yes:
            print(f"   taken as done: {what}")
            return True
        return sys.stdin.isatty() and input(f"   {what}\n   Done? Type yes: ").strip() == "yes"

    try:
        site = read_site(options.site, options.set)
        if options.dry_run:
            print(f"{book.title}\nwho: {book.who}\n" + "\n".join(f"- {each}" for each in book.prerequisites))
            dry_run(book, site, chosen=frozenset(options.chosen))
            return 0
        execution = Execution(
            book,
            site,
            chosen=frozenset(options.chosen),
            confirm=confirm,
            say=_say,
            every=options.every,
            drill=options.drill,
        )
    except RunbookError as error:
        print(f"{error.args[0]}\n{error.remedy}", file=sys.stderr)
        return 2
    try:
        execution.run()
    except RunbookError as error:
        print(f"stopped at {error.args[0]}\nremedy: {error.remedy}\nundo: {book.undo}", file=sys.stderr)
        return 1
    if execution.printed:
        print(f"the drill ended; not executed: {', '.join(execution.printed)}")
    else:
        print(f"done. {book.verification}")
    return 0


def _say(text: str) -> None:
    print(re.sub(r"[^\n -~\u00a0-\uffff]", "?", text), flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
