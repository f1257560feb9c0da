"""The page of each runbook, written from its steps: the page and the program cannot differ.

`drill.json` has the seconds that each step took in the last drill against the simulator, `null` for one that it only
printed; `CJI_DRILL_TIMES=deploy/cji_deploy/runbooks/drill.json make drills` writes it.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from cji_core.strict import parse_object
from cji_deploy.runbooks.books import BOOKS
from cji_deploy.runbooks.steps import Check, Runbook, Step
from cji_deploy.runbooks.values import plain, shown

__all__ = ["page", "pages", "write_pages"]


_TIMES: Final = Path(__file__).with_name("drill.json")


def pages() -> Mapping[str, str]:
    """The text of every page, by its file name."""
    return {f"pages/{book.name}.md": page(book) for book in BOOKS.values()}


def write_pages(folder: Path) -> None:
    """Write all pages below the folder of the runbooks."""
    for name, text in pages().items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)


def page(book: Runbook) -> str:
    """The page of one runbook, in Markdown."""
    return "\n".join(_lines(book)).rstrip() + "\n"


def _lines(book: Runbook) -> Iterator[str]:
    yield f"# {book.title}"
    written = "Written by `python -m cji_deploy.runbooks pages`."
    yield f"\n`deploy/runbooks/{book.name} --site site.toml [--dry-run]`. {written}"
    yield f"\n**When.** {book.when}\n\n**Who.** {book.who}\n\n## Prerequisites\n"
    yield from (f"* {each}" for each in book.prerequisites)
    yield "\n| value | meaning |\n|---|---|"
    yield from (f"| `{name}` | {text} |" for name, text in book.needs.items())
    if book.options:
        yield "\n| option | steps |\n|---|---|"
        yield from (f"| `--with {name}` | {text} |" for name, text in book.options.items())
    yield "\n## Steps\n\nThe first failure ends the run. A run can be repeated: a step that is done already is skipped."
    for number, step in enumerate(book.steps, 1):
        yield from _step(number, step)
    yield f"\n## Verification\n\n{book.verification}\n\n## Undo\n\n{book.undo}"
    yield f"\n## Tested\n\nAgainst the simulator: {book.simulated}.\n\n| step | in the last drill |\n|---|---|"
    times = parse_object(_TIMES.read_bytes(), limit=1 << 20).get(book.name, {})
    for number, step in enumerate(book.steps, 1):
        yield f"| {number}. {step.title} | {_drilled(step, times)} |"


def _step(number: int, step: Step) -> Iterator[str]:
    stated = (("with `--with {}`", step.option), ("without `--with {}`", step.unless), ("for each of `{}`", step.each))
    notes = [text.format(name) for text, name in stated if name]
    noted = f" ({', '.join(notes)})" if notes else ""
    yield f"\n### {number}. {step.title}{noted}"
    yield f"\nReason: {step.why}."
    for check in step.requires:
        yield f"\nBefore: {check.holds}."
    if step.done:
        yield f"\nSkipped if {step.done.holds}."
    if step.command:
        saved = f" > {shown((step.saves,), {})}" if step.saves else ""
        yield f"\n```sh\n{shown(step.command, {})}{saved}\n```"
    else:
        yield f"\nA person, or the site's command `{step.id}` under `[persons]`: {plain(step.person)}"
    for check in step.verify:
        yield from _check(check)
    yield f"\nIf it fails: {step.remedy}"


def _drilled(step: Step, times: Mapping[str, float | None]) -> str:
    if step.only_real:
        return f"printed only: {step.only_real}"
    seconds = times.get(step.id)
    return "not run" if seconds is None else f"{seconds:.1f} s"


def _check(check: Check) -> Iterator[str]:
    within = f" within {check.within.strip('{}')} s" if check.within != "0" else ""
    measured = f" Printed: {check.measures}." if check.measures else ""
    yield f"\nAfterwards{within}: {check.holds}.{measured}\n\n```sh\n{shown(check.command, {})}\n```"
