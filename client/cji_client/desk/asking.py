"""The pages of a job before it is sealed, as elements: the list of tasks, the questions of one, what will happen."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final
from xml.etree.ElementTree import Element

from cji_client.desk.outlook import Outlook, case, compared
from cji_client.desk.questions import Control, Question
from cji_client.desk.running import Failure
from cji_client.desk.shell import button, checks, field, form, link, note, problem, radios, select
from cji_client.desk.state import Desk
from cji_client.desk.tables import FoundColumn
from cji_client.desk.tasks import RECORDS, TASKS, Task
from cji_client.prepared import Prepared
from cji_client.seal import INPUT_NAME
from cji_core.operations.registry import operation_of
from cji_core.page.markup import Part, element, facts, number, table, value

_FIELDS: Final = {
    "purpose_code": ("Purpose code", "One to three letters or digits, for example C for criminal justice."),
    "reason": ("Reason", "Why you need this. It is sealed into the job and recorded."),
    "case_number": ("Case number", "May stay empty."),
    "requestor": ("Requested by", "The person for whom you do this."),
    "operator_id": ("Your user name", "As your agency records it."),
}
_PLACES: Final = ("First", "Second", "Third")
"""Of the files of a task, the records first."""


# ------------------------------------------------------------------ the list of tasks


def tasks(desk: Desk, at: str, failure: Failure | None) -> Iterator[Part]:
    """The list of tasks, the files of each, and the reasons."""
    if failure is not None:
        yield problem(failure)
    if not desk.tables:
        yield note("Drop your files first.")
        yield element("div", link("Files", f"{at}/files", kind="act main"), class_="actions")
        return
    near, far = sorted_tasks(desk)
    saved = desk.saved_tasks()
    chosen = (near or list(TASKS))[0].key if desk.draft.chosen is None else desk.draft.chosen.key
    parts: list[Part] = []
    if near:
        parts.append(_list("What is to be done?", near, chosen))
    if saved:
        parts.append(_list("Your saved jobs", saved, chosen))
    if far:
        others = _list("For other files", far, chosen)
        summary = element("summary", f"{len(far)} more tasks, for other files than these")
        hidden = element("details", summary, others, class_="card")
        if not near or any(each.key == chosen for each in far):
            hidden.set("open", "open")
        parts.append(hidden)
    names = {f"{n}": each.name for n, each in enumerate(desk.tables)}
    if len(desk.tables) > 1:
        parts.append(element("h2", "Which file is which"))
        places = (
            select(f"{_PLACES[n]} file", f"role-{n}", names, f"{desk.draft.roles.get(n, n)}")
            for n in range(min(len(desk.tables), len(_PLACES)))
        )
        parts.append(element("div", *places, class_="fields"))
    parts.append(element("h2", "For whom, and why"))
    given = {**{name: str(desk.profile.job.get(name, "")) for name in _FIELDS}, **desk.draft.fields}
    inputs = (
        field(label, name, given[name], hint=hint, required=name != "case_number")
        for name, (label, hint) in _FIELDS.items()
    )
    parts.append(element("div", *inputs, class_="fields"))
    parts.append(element("div", button("Continue", kind="main"), class_="actions"))
    yield form(f"{at}/task", *parts)


def sorted_tasks(desk: Desk) -> tuple[list[Task], list[Task]]:
    """The tasks that the files are enough for, those for as many files first; and all others."""
    many = len(desk.tables)
    kinds = [(each.schema, [column.target for column in each.columns if column.target]) for each in desk.tables]
    near = [each for each in TASKS if len(each.files) <= many and any(each.fits(*kind) for kind in kinds)]
    near.sort(key=lambda each: len(each.files) != many)
    return near, [each for each in TASKS if each not in near]


def _list(legend: str, listed: Iterable[Task], chosen: str) -> Element:
    return radios(legend, "task", [(each.key, each.title, _about(each)) for each in listed], chosen)


def _about(task: Task) -> str:
    if len(task.files) == 1:
        return task.sentence
    places = zip(_PLACES, task.files.values(), strict=False)
    files = [f"{place} file: {label[:1].lower()}{label[1:]}." for place, label in places]
    return " ".join((task.sentence, *files))


# ------------------------------------------------------------------ the questions of a task


def questions(desk: Desk, task: Task, at: str, failure: Failure | None) -> Iterator[Part]:
    """The questions of the task about its parameters, with answers that are right for most."""
    if failure is not None:
        yield problem(failure)
    yield element("p", task.sentence, class_="lead")
    yield note("What is suggested here is right for most. Change what you want to have otherwise.")
    columns, answers = desk.columns, desk.draft.answers
    targets = [each.target for each in columns]
    asked = [_asked(each, columns, each.current(targets, answers)) for each in task.questions]
    onward = element(
        "div",
        button("Continue: check everything", kind="main"),
        link("Back", f"{at}/task", kind="act"),
        class_="actions",
    )
    yield form(f"{at}/questions", *asked, onward)
    yield _beyond(task)


def _asked(question: Question, columns: list[FoundColumn], answer: Any) -> Element:
    about = question.asked([each.target for each in columns])
    shown = [each for each in columns if each.target in about]
    own = {each.target: each.name for each in shown}
    match question.control:
        case Control.EACH:
            return _each(question, shown, answer)
        case Control.COLUMNS | Control.SEVERAL as control:
            options = own if control is Control.COLUMNS else question.words
            rows = [(question.name(each), words, each in answer) for each, words in options.items()]
            return checks(question.label, rows, hint=question.hint)
        case Control.SWITCH:
            return checks("", [(question.name(), question.label, bool(answer))], hint=question.hint)
        case Control.ONE | Control.COLUMN as control:
            options = question.words if control is Control.ONE else {"": "no column", **own}
            return select(question.label, question.name(), options, str(answer), hint=question.hint)
    return _typed(question, question.name(), str(answer))


def _typed(question: Question, name: str, answer: str) -> Element:
    kind = {Control.NUMBER: "number", Control.DAY: "date"}.get(question.control, "text")
    made = field(question.label, name, answer, hint=question.hint, kind=kind, required=kind != "text")
    if question.control is Control.NUMBER:
        bounds = zip(("min", "max"), question.bounds, strict=True)
        for attribute, bound in bounds:
            if bound is not None:
                made[-1].set(attribute, str(bound))
    return made


def _each(question: Question, columns: list[FoundColumn], answer: Mapping[str, str]) -> Element:
    rows = []
    for each in columns:
        options = question.choices(each.target) if question.choices else ()
        words = {one: question.words[one] for one in options}
        label = f"{question.label}: {each.name}"
        choice = select(label, question.name(each.target), words, answer.get(each.target, ""), hide=True)
        rows.append((value(each.name), element("span", *joined(each.samples)), choice))
    heads = ("In your file", "Examples", "What to do")
    return element(
        "div",
        element("h2", question.label),
        element("div", table(heads, rows), class_="mapping"),
    )


def joined(samples: Iterable[str]) -> Iterator[Part]:
    """Values of a column, as a line."""
    for at, one in enumerate(samples):
        if at:
            yield ", "
        yield value(one)


def _beyond(task: Task) -> Part:
    """The settings that the forms do not offer."""
    if not task.more:
        return ""
    return element(
        "details",
        element("summary", "What cannot be set here"),
        element("p", task.more),
        element(
            "p",
            "These keep their defaults. Someone who writes job files can set them: each job file in the folder "
            "CJI desk/jobs is one more entry in the list of tasks.",
        ),
        class_="card",
    )


# ------------------------------------------------------------------ what will happen


def check(desk: Desk, task: Task, prepared: Prepared, at: str, ahead: Outlook) -> Iterator[Part]:
    """The job before it is sealed."""
    spec = prepared.spec
    yield element("p", element("strong", task.title), ". " if task.title[-1] not in ".?" else " ", task.sentence)
    yield from _warned(desk, task, prepared)
    yield element("h2", "What is sent, sealed")
    rows = []
    for role, label in task.files.items():
        source, found = prepared.inputs[INPUT_NAME if role == RECORDS else role], desk.table_of(role)
        kept = ", ".join(source.schema.names)
        left = ", ".join(each.name for each in found.columns if not each.target) or "nothing"
        rows.append((f"{label}: {found.name}", number(source.rows), kept, left))
    yield table(("File", "Rows", "Columns that are sent", "Left out"), rows)
    remains = [line for each in spec.operations for line in operation_of(each).remains(each)]
    for heading, lines in (("How it was read", prepared.notes), ("What the result still shows", remains)):
        if lines:
            yield element("h2", heading)
            yield element("ul", *(element("li", line) for line in lines), class_="points")
    yield element("h2", "Who and why")
    yield facts({label: getattr(spec, name) or "none" for name, (label, _) in _FIELDS.items()})
    yield from _taken(prepared, ahead)
    again = link("Change something", f"{at}/{'questions' if task.questions else 'task'}", kind="act")
    yield element("div", *([] if ahead.refused else [_run(at, desk.checked)]), again, class_="actions")
    yield _save(at, task)
    yield _beyond(task)


def _run(at: str, checked: str) -> Element:
    hidden = element("input", type="hidden", name="checked", value=checked)
    return form(f"{at}/run", hidden, button("Seal and run it", kind="main"))


def _warned(desk: Desk, task: Task, prepared: Prepared) -> Iterator[Part]:
    for role in task.files:
        source, name = prepared.inputs[INPUT_NAME if role == RECORDS else role], desk.table_of(role).name
        if source.rows == 0:
            yield note(f"{name} has no rows: the result will be empty.", kind="notice")
        elif source.empty:
            yield note(f"No row of {name} has a value in {', '.join(source.empty)}.", kind="notice")


def _taken(prepared: Prepared, ahead: Outlook) -> Iterator[Part]:
    """Known facts of the worker, and its own decisions."""
    yield element("h2", "Will the worker take it?")
    if ahead.missing:
        yield note(ahead.missing, kind="notice")
    else:
        points = (
            element("li", *_point(each.words, each.remedy), class_="no" if each.remedy else "yes")
            for each in ahead.points
        )
        yield element("ul", *points, class_="checks")
    if ahead.refused:
        yield note("The worker would refuse this job. Nothing was sent.", kind="notice")
        return
    yield element(
        "p",
        "The rest is decided by its policy, which it shows to nobody. Before it opens a record, it compares the facts "
        "below with what is listed for your agency on this day, and counts your jobs of today. While it reads, it "
        "counts rows and bytes. If it denies the job, you get its refusal without the rule, and no result.",
    )
    yield facts(compared(prepared))
    yield element(
        "details",
        element("summary", "To be sure before you send it"),
        element(
            "p",
            "Send these lines to the operator of the worker, who tries them with cji policy test. No record is in "
            "them.",
        ),
        element("pre", case(prepared), tabindex="0"),
        class_="card",
    )
    yield element(
        "p",
        "Before anything is sealed, the worker also has to prove which machine and which program it is.",
    )


def _point(words: str, remedy: str) -> Iterator[Part]:
    yield element("span", "No: " if remedy else "Yes: ", class_="hidden")
    yield words
    if remedy:
        yield element("span", f" {remedy}", class_="remedy")


def _save(at: str, task: Task) -> Element:
    return element(
        "details",
        element("summary", "Save this job, to run it again"),
        element("p", "A saved job has no records. The command cji job run takes it as well.", class_="hint"),
        form(
            f"{at}/save",
            field("Name", "name", task.title, most=80),
            element("div", button("Save"), class_="actions"),
        ),
        class_="card",
    )


def saved(path: Path, at: str) -> Iterator[Part]:
    """The place of a saved job."""
    yield element("p", "It is in ", element("code", str(path)), ".")
    yield element("div", link("Back", f"{at}/check", kind="act main"), class_="actions")
