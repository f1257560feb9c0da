"""The state of the desk: what runs is what was shown, and nothing of one job is taken for another's."""

import stat
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from cji_attestation import AZURE_US
from cji_client.desk import state
from cji_client.desk.running import Run
from cji_client.desk.state import Desk
from cji_client.desk.tasks import TASKS
from cji_client.errors import SpecError
from cji_client.prepared import Prepared, prepare
from cji_core.format.keys import PinnedKey, new_signing_key
from cji_core.jose import key_id, public_jwk
from cji_core.operations.registry import plan
from tests.support.job_specs import head, profile
from tests.support.rsa_keys import rsa_key

PREPARED = cast("Prepared", None)
"""In jobs that are not started."""


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    (tmp_path / "scratch").mkdir()
    given = profile(job={"case_number": "OF-THE-PROFILE", "audience": "county"})
    made = Desk(given, AZURE_US, tmp_path / "CJI desk", tmp_path / "scratch")
    yield made
    made.clear()


def drop(desk: Desk, data: bytes, name: str = "people.csv") -> None:
    table, file = desk.new_file(name)
    file.write(data)
    desk.keep(table)


@pytest.mark.parametrize("left", ["results/a", "opened/a", "labels/a.csv"])
def test_a_new_result_takes_no_name_of_an_older_one(desk: Desk, left: str) -> None:
    assert not desk._is_taken("a")
    (desk.folder / left).mkdir()
    assert desk._is_taken("a")


def test_the_job_of_another_page_does_not_run(desk: Desk) -> None:
    desk.draft.chosen, desk.prepared, desk.checked = TASKS[0], cast("Prepared", object()), "now"
    for page in ("before", ""):
        with pytest.raises(SpecError, match="changed after this page showed it"):
            desk.run(page)
    assert desk.runs == {}


def test_a_field_left_empty_is_not_filled_from_before(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    drop(desk, b"last,first\nDoe,Jane\n")
    desk.draft.chosen, found = TASKS[1], dict[str, Any]()
    desk.draft.saved = {"case_number": "OF-THE-SAVED-JOB", "reason": "an older one", "label": "kept"}
    desk.draft.fields = {"case_number": "", "reason": "now"}
    monkeypatch.setattr(state, "load_spec", lambda _, *, defaults: found.update(defaults))
    desk.specified()
    asked = {name: found.get(name) for name in ("case_number", "reason", "label", "audience")}
    assert asked == {"case_number": None, "reason": "now", "label": "kept", "audience": "county"}


def test_a_file_stays_while_a_job_may_read_it(desk: Desk) -> None:
    drop(desk, b"last,first\nDoe,Jane\n")
    (table,) = desk.tables
    desk.runs["a"] = run = Run(name="a", title="a", folder=desk.folder / "results/a", prepared=PREPARED)
    with pytest.raises(SpecError, match="a job is running"):
        desk.forget(table)
    assert table.path.read_bytes() == b"last,first\nDoe,Jane\n"
    run.ended = True
    desk.forget(table)
    assert desk.tables == []


HISTORIES = b"subject,date,county,offense,disposition\nA1,20040302,LA,THEFT,CONVICTED\n"
PEOPLE = b"last,first,DOB,NAM,state\nDoe,Jane,19800102,,CA\n"


@pytest.mark.parametrize(
    ("key", "data", "form", "operations"),
    [
        ("deidentify", PEOPLE, {"q-project": "study/1"}, ["deidentify"]),
        ("aggregate", HISTORIES, {}, ["deidentify", "aggregate"]),
        ("clear", HISTORIES, {}, ["clear"]),
        ("validate-columns", PEOPLE, {}, ["validate"]),
    ],
)
def test_answers_are_sealed_as_a_job(
    desk: Desk, key: str, data: bytes, form: dict[str, str], operations: list[str]
) -> None:
    """From the form to a sealed header whose plan a worker would take; the key of a project is its user's alone."""
    cmk = rsa_key(0, 3072).public_key()
    desk.profile.job.update(tomllib.loads(head(recipient=public_jwk(cmk), kek_thumbprint=key_id(cmk))))
    drop(desk, data)
    task, columns = desk.choose(key), [each.target for each in desk.columns]
    given = dict[str, str]()
    for each in task.questions:
        answer = each.suggested(columns)
        many = answer if isinstance(answer, dict) else {"": answer}
        given |= {each.name(column): str(one) for column, one in many.items()}
    desk.answer(given | form)
    spec, _ = desk.specified()
    pin = PinnedKey.check(spec.kek_id, public_jwk(cmk), expected=spec.kek_thumbprint)
    sealed = prepare(desk.table_of("records").path, spec).seal(pin, new_signing_key())
    planned = plan(sealed.header.operations, sealed.header.input_schemas)
    assert [each.operation.name for each in planned.operations] == operations
    keys = list((desk.folder / "projects").glob("*"))
    assert [each.name for each in keys] == (["study%2F1.json"] if form else [])
    assert all(stat.S_IMODE(each.stat().st_mode) == 0o600 for each in keys)
    desk.specified()  # the same key, not another
    assert list((desk.folder / "projects").glob("*")) == keys
