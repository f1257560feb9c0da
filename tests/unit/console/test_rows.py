"""The row of a view: columns of the closed table, the same numbers as Prometheus has, and nothing of anybody."""

import json
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from cji_worker.console import rows
from cji_worker.console.exposition import exposition
from cji_worker.console.machine import Disk, Machine
from cji_worker.console.samples import Durations
from cji_worker.console.series import SERIES
from cji_worker.console.view import View
from cji_worker.ipc.messages import DeliveryReport
from tests.support.console_tools import KEYHOLDER, SICK, SILENT, VIEW, counts, jobs, status
from tests.support.paths import ROOT

VIEWS = {"well": VIEW, "sick": SICK, "silent": SILENT}
CANARY = "x-canary-4711"


def made(view: View, before: View = SILENT) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(rows.row(view, "cji-1", before=before))
    return found


def leaves(value: Any, *path: str) -> dict[tuple[str, ...], Any]:
    """Each number by its labels."""
    if not isinstance(value, dict) or "classes" in value:
        return {path: value}
    return {key: found for name, inner in value.items() for key, found in leaves(inner, *path, name).items()}


@pytest.mark.parametrize("name", VIEWS)
def test_a_row_has_the_samples_of_every_metric(name: str) -> None:
    """Every sample is in the row, or a zero of a counter, or one of states that exclude each other."""
    row = made(VIEWS[name])
    for series in SERIES:
        of_row = leaves(row.get(rows.column(series), {}))
        for labels, value in series.read(VIEWS[name]):
            if series.one_of:
                assert (row.get(rows.column(series)) == labels[0]) == bool(value)
            elif isinstance(value, Durations):
                assert of_row[labels]["classes"] == list(value.classes)
                assert (of_row[labels]["count"], of_row[labels]["seconds"]) == (sum(value.classes), value.seconds)
            else:
                assert of_row.get(labels, 0) == value
                assert labels in of_row or (series.kind == "counter" and value == 0)


@pytest.mark.parametrize("name", VIEWS)
def test_a_row_has_columns_of_the_stream_and_no_other(name: str) -> None:
    stream = json.loads(rows.schema())["stream"]["columns"]
    types = {each["name"]: each["type"] for each in stream}
    kinds = {"string": str, "datetime": str, "real": float, "dynamic": dict}
    for key, value in made(VIEWS[name]).items():
        assert isinstance(value, kinds[types[key]])
    assert len(types) == len(SERIES) + 2


def test_words_of_a_row_are_of_closed_sets() -> None:
    """No text but the name of the machine, the version and labels: what others wrote cannot be in a row."""
    labels = {value for series in SERIES for values in series.labels.values() for value in values}
    for view in VIEWS.values():
        row = made(view)
        assert (row.pop("Time"), row.pop("Machine")) == (view.at.isoformat(), "cji-1")
        for column, value in row.items():
            words = {value} if isinstance(value, str) else {each for path in leaves(value) for each in path}
            assert words <= labels, column


def test_nothing_that_the_status_names_leaves_by_a_row() -> None:
    """Free texts of the status: worker, version, keys, advisories, digests, destinations and their names."""
    report = msgspec.structs.replace(
        KEYHOLDER,
        deliveries=(DeliveryReport(destination=CANARY, line=1, waits_s=7, overdue=True),),
        keys=tuple(msgspec.structs.replace(each, kek_id=f"https://{CANARY}") for each in KEYHOLDER.keys),
        early=(CANARY,),
    )
    full = msgspec.structs.replace(status(keyholder=report), worker=CANARY, version=CANARY, config_sha384=CANARY)
    named = tuple(replace(each, name=CANARY) for each in VIEW.destinations)
    view = replace(VIEW, status=full, destinations=named)
    assert CANARY in msgspec.json.encode(full).decode()
    assert CANARY.encode() not in rows.row(view, "cji-1", before=SILENT)
    assert CANARY.encode() not in exposition(view)
    row = made(view)
    assert (row["AuditRequiredWaitsSeconds"], row["AuditRequiredOverdue"]) == (7, 1)


def test_a_state_is_one_word_and_silence_is_a_row() -> None:
    well, sick, silent = (made(each) for each in VIEWS.values())
    assert (well["WorkerState"], sick["WorkerState"], silent["WorkerState"]) == ("serving", "not serving", "unknown")
    assert "NotReady" not in well
    assert sick["NotReady"] == "KEY_RELEASE_DENIED"
    assert silent["WorkerSilence"] == "no answer"
    assert "Refusals" not in silent
    assert well["Refusals"] == {"REPLAYED": 1, "POLICY_DENIED": 12, "OVERLOADED": 5}


def test_counters_have_what_was_added_since_the_row_before() -> None:
    assert "Refusals" not in json.loads(rows.row(VIEW, "cji-1", before=None))
    assert "Refusals" not in made(VIEW, VIEW)
    assert "JobDurationSeconds" not in made(VIEW, VIEW)
    more = replace(VIEW, status=status(keyholder=jobs(operations=(counts("link", 9, slow=2),), rows_in=1_200_005)))
    row = made(more, VIEW)
    assert row["Jobs"] == {"link": {"completed": 3}}
    assert row["JobDurationSeconds"]["link"]["count"] == 3
    assert row["JobDurationSeconds"]["link"]["seconds"] == 7201
    assert row["Rows"] == {"in": 5}


def test_a_moment_without_an_answer_counts_nothing_twice() -> None:
    silent = rows.known(SILENT, VIEW)
    assert not {"Jobs", "Refusals", "FleetTicketsTaken"} & made(VIEW, silent).keys()
    fresh = replace(VIEW, status=status(keyholder=jobs(operations=(counts("link", 9, slow=2),))))
    assert made(fresh, silent)["Jobs"] == {"link": {"completed": 3}}


def test_a_worker_that_started_again_began_at_zero() -> None:
    fresh = replace(VIEW, status=status(keyholder=jobs(operations=(counts("link", 1),), rows_in=3, refused=())))
    row = made(fresh, VIEW)
    assert row["Jobs"] == {"link": {"completed": 1}}
    assert row["JobDurationSeconds"]["link"]["count"] == 1
    assert row["Rows"] == {"in": 3}
    assert "Refusals" not in row


def test_the_machine_is_in_the_row() -> None:
    machine = Machine(started=5.0, restarts={"door": 2, "worker": 0}, disk=Disk(free=3, size=9))
    row = made(replace(VIEW, machine=machine))
    assert row["MachineStartTimeSeconds"] == 5
    assert row["UnitRestarts"] == {"door": 2}
    assert row["AuditDiskBytes"] == {"free": 3, "size": 9}


def test_a_row_is_small() -> None:
    """A machine sends a row each minute: Azure counts bytes."""
    assert len(rows.row(VIEW, "cji-1", before=SILENT)) < 4096


def test_the_shipped_schema_is_that_of_the_metrics() -> None:
    assert (ROOT / "deploy/sentinel/schema/cji-health.json").read_text() == rows.schema()
    table = json.loads(rows.schema())["table"]["columns"]
    assert table[0] == {"name": "TimeGenerated", "type": "dateTime"}
    assert len({each["name"] for each in table}) == len(table)
    assert all(len(each["name"]) <= 45 for each in table)
