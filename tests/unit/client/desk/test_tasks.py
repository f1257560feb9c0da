"""The tasks of the desk: every row makes operations of its answers, and asks what its declaration has."""

from datetime import date
from pathlib import Path
from typing import Any

import msgspec
import pytest

from cji_client.desk.questions import YES, Control
from cji_client.desk.tables import Table
from cji_client.desk.tasks import TASKS, Task, task_named
from cji_client.errors import SpecError
from cji_core.format.records import SCHEMAS
from cji_core.operations.aggregate import Aggregate
from cji_core.operations.deidentify import Deidentify
from cji_core.operations.deidentify.rules import DateTo, HmacToken
from cji_core.operations.registry import OPERATIONS, operation_of

PEOPLE = ("record_id", "NAM", "DOB", "SEX", "state", "postcode")
EVENTS = ("subject", "date", "county", "offense", "disposition")
MADE = ("cluster", "relief")
"""Columns that operations add, and refuse to find."""
EACH = pytest.mark.parametrize("task", TASKS, ids=lambda task: task.key)


def task(key: str) -> Task:
    found = task_named(key)
    assert found is not None
    return found


def posted(of: Task, columns: tuple[str, ...], **changed: str) -> dict[str, str]:
    """The form of the questions as a browser sends it, with some controls changed."""
    form = dict[str, str]()
    for each in of.questions:
        answer = each.suggested(columns)
        match each.control:
            case Control.EACH:
                form |= {each.name(column): option for column, option in answer.items()}
            case Control.COLUMNS | Control.SEVERAL:
                form |= {each.name(one): YES for one in answer}
            case Control.SWITCH:
                form |= {each.name(): YES} if answer else {}
            case _:
                form[each.name()] = str(answer)
    return form | {name.replace("__", "-"): text for name, text in changed.items()}


def answered(of: Task, columns: tuple[str, ...], **changed: str) -> dict[str, Any]:
    form = posted(of, columns, **changed)
    return {each.field: each.read(form, columns) for each in of.questions}


def test_every_operation_has_a_task() -> None:
    assert {each.operation for each in TASKS} == OPERATIONS.keys()
    assert len({each.key for each in TASKS}) == len(TASKS)


@EACH
def test_what_is_suggested_is_a_job(task: Task) -> None:
    """For records of each schema with all columns that the task is for, by the operations' own checks."""
    tried = 0
    for schema_id in task.accepts:
        columns = tuple(name for name in SCHEMAS[schema_id].columns if name not in MADE)
        if not task.fits(schema_id, columns):
            continue
        tried += 1
        more = {"q__project": "study"} if task.key == "deidentify" else {}
        found, names = task.operations(answered(task, columns, **more), columns), frozenset(columns)
        for parameters in found:
            operation = operation_of(parameters)
            operation.check_records(parameters, schema_id, names)
            assert schema_id in operation.signature(parameters).accepts
            names = operation.columns(parameters, names)
    assert tried


@EACH
def test_an_option_is_one_of_the_declaration(task: Task) -> None:
    for each in task.questions:
        fields = {known.name for known in msgspec.structs.fields(each.of)}
        assert each.field in fields
        assert operation_of_type(each.of) == task.operation
        known = getattr(each._type, "values", None) or getattr(getattr(each._type, "item_type", None), "values", None)
        if known is not None:
            assert set(each.words) <= set(known)
        for columns in SCHEMAS.values():
            options = each.asked(tuple(columns.columns)).values()
            assert each.control is not Control.EACH or {one for some in options for one in some} <= each.words.keys()


def operation_of_type(of: type) -> str:
    return next(name for name, each in OPERATIONS.items() if each.parameters is of)


def test_a_saved_setting_is_read_back() -> None:
    screen = task("screen")
    answers = answered(screen, PEOPLE, q__max_hits="5", q__status_only=YES)
    (made,) = screen.operations(answers, PEOPLE)
    assert (made.max_hits, made.status_only, made.include_restricted) == (5, True, False)  # type: ignore[attr-defined]


@pytest.mark.parametrize("text", ["", "0", "1001", "5.5", "-1", "x", "9" * 12])
def test_a_number_out_of_its_declared_range_is_refused(text: str) -> None:
    with pytest.raises(SpecError, match="from 1 to 1,000"):
        answered(task("screen"), PEOPLE, q__max_hits=text)


def test_an_option_that_was_not_offered_is_refused() -> None:
    with pytest.raises(SpecError, match="no answer was chosen"):
        answered(task("redact"), ("narrative",), q__marks="project")
    with pytest.raises(SpecError, match="not a day"):
        answered(task("clear"), EVENTS, q__as_of="12/31/2026")


def test_free_text_is_never_kept() -> None:
    with pytest.raises(SpecError, match="no answer was chosen"):
        answered(task("deidentify"), EVENTS, q__columns__offense="keep")


def test_tokens_need_a_project() -> None:
    tokens = task("deidentify")
    with pytest.raises(SpecError, match="the project has no name"):
        tokens.operations(answered(tokens, PEOPLE), PEOPLE)
    (made,) = tokens.operations(answered(tokens, PEOPLE, q__project="study-1"), PEOPLE)
    assert isinstance(made, Deidentify)
    assert isinstance(made.columns["NAM"], HmacToken)
    assert isinstance(made.columns["DOB"], DateTo)


def test_months_are_counted_behind_a_step_that_cuts_dates() -> None:
    count = task("aggregate")
    cut, made = count.operations(answered(count, EVENTS), EVENTS)
    assert isinstance(cut, Deidentify)
    assert isinstance(made, Aggregate)
    assert cut.columns["date"] == DateTo(unit="month")
    assert cut.columns["offense"] == "drop"
    assert (list(made.keys), made.person, made.threshold) == (["date", "county"], "subject", 11)
    nothing = {f"q__keys__{name}": "" for name in EVENTS}
    with pytest.raises(SpecError, match="nothing to count by"):
        count.operations(answered(count, EVENTS, **nothing), EVENTS)


def test_answers_for_columns_that_left_are_forgotten() -> None:
    tokens = task("deidentify")
    answers = answered(tokens, PEOPLE, q__project="study-1", q__columns__SEX="drop")
    (made,) = tokens.operations(answers, ("NAM", "SEX", "city"))
    assert isinstance(made, Deidentify)
    assert list(made.columns) == ["NAM", "SEX", "city"]
    assert made.columns["SEX"] == "drop"


def test_the_rules_of_a_law_are_a_file_that_is_shipped() -> None:
    clear = task("clear")
    (made,) = clear.operations(answered(clear, EVENTS, q__rules="michigan", q__as_of="2026-02-01"), EVENTS)
    assert Path(made.rules).is_file()  # type: ignore[attr-defined]
    assert made.as_of == date(2026, 2, 1)  # type: ignore[attr-defined]


def test_a_list_of_people_is_read_as_a_hot_file(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_bytes(b"last,first,DOB\nDoe,Jane,19800102\n")
    found = Table(path=tmp_path / "list.csv", name="list.csv")
    found.refresh()
    assert found.schema == "person/1"
    found.read_as([task("screen").schema_of("reference", "person/1")])
    assert found.schema == "hotfile/1"
    with pytest.raises(SpecError, match="not what this task is for: Events of criminal histories"):
        found.read_as(["chri_event/2"])
