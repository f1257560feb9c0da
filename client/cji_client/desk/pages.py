"""The pages of the desk as elements: what is shown and which forms are on it. Handlers fill them; nothing here acts."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final
from xml.etree.ElementTree import Element

from cji_client.desk.asking import joined
from cji_client.desk.review import VERDICTS, Review
from cji_client.desk.running import Failure, Run
from cji_client.desk.shell import button, form, link, note, problem, radios, select
from cji_client.desk.state import Desk
from cji_client.desk.tables import SCHEMA_WORDS, FoundColumn, Table
from cji_client.files import INPUT_SUFFIXES
from cji_client.result import Result
from cji_client.spec import VERBATIM
from cji_core.format.records import SCHEMAS
from cji_core.operations.link.outputs import PAIRS
from cji_core.page.markup import Part, element, facts, number, table, value

# ------------------------------------------------------------------ home and keys


def home(desk: Desk, at: str) -> Iterator[Part]:
    """The first page."""
    yield element(
        "p",
        "Drop your files, check what the desk found, choose what is to be done, and read the result. "
        "The work is done by a worker that proves what it is before your records are sealed for it.",
        class_="lead",
    )
    yield element("div", link("Start with your files", f"{at}/files", kind="act main"), class_="actions")
    names = desk.results.names()
    if names:
        yield element("h2", "Results")
        yield result_list(names[:5], at)


def locked(at: str, failure: Failure | None) -> Iterator[Part]:
    """Keys in files with a passphrase."""
    if failure is not None:
        yield problem(failure)
    secret = element(
        "input", type="password", id="passphrase", name="passphrase", autocomplete="off", spellcheck="false"
    )
    yield element("p", "The keys of this desk are encrypted. The passphrase stays in this computer's memory.")
    yield form(
        f"{at}/unlock",
        element("div", element("label", "Passphrase", for_="passphrase", class_="label"), secret, class_="field"),
        element("div", button("Unlock", kind="main"), class_="actions"),
    )


def result_list(names: Iterable[str], at: str) -> Element:
    """Results by name."""
    items = (element("li", link(name, f"{at}/results/{name}")) for name in names)
    return element("ul", *items, class_="list")


# ------------------------------------------------------------------ files


def files(desk: Desk, at: str, failure: Failure | None) -> Iterator[Part]:
    """The files that were dropped, and a place for more."""
    if failure is not None:
        yield problem(failure)
    chooser = element(
        "input", type="file", name="file", id="file", multiple="multiple", accept=",".join(INPUT_SUFFIXES)
    )
    yield form(
        f"{at}/files",
        element(
            "label",
            element("strong", "Drop files here, or choose them"),
            element("span", "Text (.csv, .txt), Excel (.xlsx), Parquet, Arrow, NIBRS. They stay on this computer."),
            chooser,
            class_="drop",
            for_="file",
        ),
        element("noscript", button("Add the files", kind="main")),
        element("button", "Add the files", type="submit", class_="hidden", tabindex="-1"),
        upload=True,
    )
    for each in desk.tables:
        yield _file(each, each.number, at)
    if desk.tables:
        ready = all(each.ready for each in desk.tables)
        words = "Continue: choose the task" if ready else "Some choices above are still open."
        act = link(words, f"{at}/task", kind="act main") if ready else note(words)
        yield element("div", act, class_="actions")


def _file(each: Table, n: str, at: str) -> Element:
    content: list[Part] = [element("h2", each.name)]
    if each.notes:
        content.append(element("p", "; ".join(each.notes), class_="hint"))
    if each.problem is not None:
        content.append(problem(Failure.of(each.problem)))
    how: list[Part] = [select("What are these records?", f"schema-{n}", SCHEMA_WORDS, each.schema)]
    if each.sheets and len(each.sheets) > 1:
        how.append(select("Sheet of the workbook", f"sheet-{n}", {one: one for one in each.sheets}, each.sheet))
    if each.lines:
        how.append(_encodings(each, n))
    if each.columns:
        how.append(_mapping(each, n))
    if each.guessed:
        content.append(note("Check what is suggested here, then press Save these choices.", kind="notice"))
    if each.twice:
        content.append(note(f"Two columns are sent as {', '.join(sorted(each.twice))}: choose one.", kind="notice"))
    save = element("div", button("Save these choices", kind=""), class_="actions")
    remove = form(f"{at}/files/{n}/remove", button(f"Remove {each.name}", kind="quiet"))
    return element("section", *content, form(f"{at}/files/{n}", *how, save), remove, class_="file")


def _encodings(each: Table, n: str) -> Element:
    options = [
        (encoding, encoding, element("span", *(element("bdi", line, class_="line") for line in lines)))
        for encoding, lines in each.lines.items()
    ]
    return element(
        "div",
        element("p", "This file is older text. Choose the line in which all names are spelled correctly."),
        radios("Spelling", f"encoding-{n}", options, each.encoding),
    )


def _mapping(each: Table, n: str) -> Element:
    known = SCHEMAS[each.schema].columns
    targets = {"": "(not sent)", **{name: name for name in known}}
    heads = ("In your file", "Examples", "Sent as", "Dates")
    rows = []
    for at, column in enumerate(each.columns):
        samples = element("span", *joined(column.samples))
        choice = select(f"{column.name} is sent as", f"target-{at}-{n}", targets, column.target, hide=True)
        rows.append((value(column.name), samples, choice, _dates(each, column, n, at)))
    return element("div", table(heads, rows), class_="mapping")


def _dates(each: Table, column: FoundColumn, n: str, at: int) -> Part:
    known = SCHEMAS[each.schema].columns.get(column.target)
    if known is None or not known.date:
        return ""
    found = f"as found: {column.found}" if column.found else "as they are (year first)"
    options = {"": "choose one" if column.undecided else found}
    options |= {one: one for one in column.formats}
    options |= {VERBATIM: "send as they are"}
    chosen = select(f"Dates of {column.name}", f"date-{at}-{n}", options, column.date_format, hide=True)
    if column.undecided and not column.date_format:
        return element("div", chosen, element("p", "Day and month look alike here: choose.", class_="hint"))
    return chosen


def closing(words: str) -> Iterator[Part]:
    """The last page."""
    yield element("p", words)


# ------------------------------------------------------------------ running and results


def running(run: Run, at: str) -> Iterator[Part]:
    """A job on its way."""
    bar = element("progress", max="100", aria_label="Progress of the job")
    if run.per_cent is not None:
        bar.set("value", str(run.per_cent))
    yield element(
        "div",
        element("p", run.step, class_="step", role="status"),
        bar,
        data_progress=f"{at}/runs/{run.name}/progress",
    )
    yield element("div", form(f"{at}/runs/{run.name}/cancel", button("Cancel the job")), class_="actions")
    yield note("You can leave this page open, or come back to it from Results.")


def ended(run: Run, at: str) -> Iterator[Part]:
    """A job that ended without a result."""
    assert run.failure is not None  # noqa: S101 - its thread has ended
    yield problem(run.failure)
    yield element("div", link("Back to the task", f"{at}/task", kind="act main"), class_="actions")


def results(desk: Desk, at: str) -> Iterator[Part]:
    """All results, and jobs on their way."""
    busy = [run for run in desk.runs.values() if not run.ended]
    if busy:
        items = (element("li", link(f"{run.title}: {run.step}", f"{at}/runs/{run.name}")) for run in busy)
        yield element("ul", *items, class_="list")
    names = desk.results.names()
    yield result_list(names, at) if names else note("There are no results yet.")
    yield element("p", "They are kept sealed in ", element("code", str(desk.folder / "results")), ".", class_="hint")


def result(
    name: str, found: Result, at: str, *, notes: Iterable[str], openable: bool, opened: Mapping[str, Path]
) -> Iterator[Part]:
    """A verified result: what it says, and what can be done with it."""
    claims = found.receipt.claims
    yield element(
        "p",
        element("strong", "Verified."),
        " The receipt of the worker was checked, and the result is the one that it signed.",
        class_="good",
    )
    if found.attested.simulated:
        yield note("SIMULATED: the receipt is from a simulated machine, which protects nothing.", kind="notice")
    yield facts(
        {
            "Task": ", ".join(found.job.operation_names),
            "Rows sent": number(claims.volumes.rows_in),
            "Rows of the result": "not stated" if claims.withheld else number(claims.volumes.rows_out),
            "Finished": f"{claims.ended[:16].replace('T', ' ')} UTC",
        }
    )
    for line in notes:
        yield note(line)
    base = f"{at}/results/{name}"
    if openable:
        yield element(
            "div",
            link("Read the report", f"{base}/report", kind="act main", new=True),
            form(f"{base}/open", button("Open as Excel", name="form", value="xlsx")),
            form(f"{base}/open", button("Open as CSV", name="form", value="csv")),
            *([link("Decide on pairs", f"{base}/review", kind="act")] if PAIRS.name in found.names else []),
            class_="actions",
        )
    yield element("p", link("The receipt: what was proven, for a supervisor", f"{base}/receipt", new=True))
    for label, folder in opened.items():
        yield _opened(label, folder, base)


def review(name: str, found: Review, n: int | None, at: str, failure: Failure | None) -> Iterator[Part]:
    """One pair, side by side; the keys S, D and U decide."""
    base = f"{at}/results/{name}"
    if failure is not None:
        yield problem(failure)
    done = f"{found.decided} of {len(found.pairs)} pairs are decided."
    if found.more:
        done += f" {found.more} more weigh less, and are in the result alone."
    if n is None:
        yield element("p", f"{done} Nothing is left to decide." if found.pairs else "There are no pairs to decide.")
        if found.pairs:
            yield element("p", "Your decisions are in ", element("code", str(found.file)), ".")
        yield element("div", link("Back to the result", base, kind="act main"), class_="actions")
        return
    pair, verdict = found.pairs[n], found.verdict(n)
    yield element("p", done, role="status")
    rows = []
    for label, (left, right) in pair.values.items():
        same = left == right or left is None or right is None
        cells = (value(left), value(right)) if same else (element("mark", value(left)), element("mark", value(right)))
        rows.append((label, *cells))
    yield element("div", table(("Column", "One record", "The other"), rows), class_="pair")
    if verdict is not None:
        yield note(f"Decided before: {verdict}. A new decision replaces it.", kind="hint")
    words = {"same": "Same person (S)", "different": "Different (D)", "unsure": "Unsure (U)"}
    buttons = []
    for each in VERDICTS:
        act = button(words[each], name="verdict", value=each)
        act.set("data-key", each[0])
        buttons.append(act)
    hidden = element("input", type="hidden", name="pair", value=str(n))
    yield form(f"{base}/review", hidden, *buttons, class_="actions")
    ways = [link("The pair before", f"{base}/review?pair={n - 1}")] if n else []
    if n + 1 < len(found.pairs):
        ways.append(link("The pair after", f"{base}/review?pair={n + 1}"))
    ways.append(link("Stop for now", base))
    yield element("p", *(part for way in ways for part in (way, " ")), class_="hint")


_FIRST: Final = ("result", "pairs", "hits", "findings", "row_status")
"""Outputs that people look for."""


def _opened(label: str, folder: Path, base: str) -> Element:
    """The files that were opened into one folder."""
    found = [each for each in folder.iterdir() if each.suffix in (".xlsx", ".csv", ".txt")]
    names = [each.name for each in sorted(found, key=lambda each: (each.stem not in _FIRST, each.name))]
    items = (element("li", link(name, f"{base}/opened/{label}/{name}")) for name in names)
    return element(
        "section",
        element("h2", f"Opened as {label}"),
        element("p", "In plain text, readable by you alone, in ", element("code", str(folder)), "."),
        element("ul", *items, class_="list"),
        note("Delete this folder when you no longer need it; the sealed result stays.", kind="hint"),
    )
