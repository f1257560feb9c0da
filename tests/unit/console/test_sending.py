"""The console that sends: one row at a time, as its identity, to the configured service and to no other."""

import json
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from cji_core.errors import StartupError
from cji_core.format.configuration.console import ConsoleConfig, MonitorSection
from cji_worker.console.sending import Sender
from tests.support.console_tools import status_socket
from tests.support.sink_faults import azure_of
from tests.support.sink_server import Certificates, SinkServer


def sender(folder: Path, faults: list[str | None], *, machine: str = "cji-1") -> Sender:
    """One that sends to an endpoint with these faults, then none."""
    certificates = Certificates.make(folder)
    server = SinkServer(certificates, folder / "deeds", next_fault=lambda: faults.pop(0) if faults else None)
    threading.Thread(target=server.serve, daemon=True).start()
    monitor = MonitorSection(endpoint=server.url, rule=f"dcr-{'0' * 32}", client_id="0" * 8, machine=machine)
    config = ConsoleConfig(status_socket=str(folder / "worker/status.sock"), monitor=monitor)
    return Sender(config, monitor, azure_of(certificates.roots))


def test_rows_arrive_one_by_one_whether_there_is_a_worker(tmp_path: Path) -> None:
    sends = sender(tmp_path, [])
    (tmp_path / "worker").mkdir()
    with status_socket(tmp_path / "worker"):
        assert sends.step() == 60
    assert sends.step() == 60
    first, second = (json.loads(line) for line in (tmp_path / "deeds").read_text().splitlines())
    assert first["path"] == f"/dataCollectionRules/dcr-{'0' * 32}/streams/Custom-CjiHealth"
    assert [row["WorkerState"] for row in (*first["ids"], *second["ids"])] == ["serving", "unknown"]
    assert {row["Machine"] for row in (*first["ids"], *second["ids"])} == {"cji-1"}


def test_silence_between_two_answers_adds_nothing(tmp_path: Path) -> None:
    sends = sender(tmp_path, [])
    (tmp_path / "worker").mkdir()
    with status_socket(tmp_path / "worker"):
        sends.step()
    sends.step()
    with status_socket(tmp_path / "worker"):
        sends.step()
    first, silent, last = (json.loads(line)["ids"][0] for line in (tmp_path / "deeds").read_text().splitlines())
    assert (first["WorkerState"], silent["WorkerState"], last["WorkerState"]) == ("serving", "unknown", "serving")
    assert not {"Jobs", "Refusals", "Rows", "JobDurationSeconds"} & last.keys()


def test_a_row_that_is_not_taken_is_counted_in_the_next(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sends = sender(tmp_path, [None, "status-403", "redirect", "reset-read"])
    assert [sends.step() for _ in range(5)] == [60] * 5
    deeds = [json.loads(line) for line in (tmp_path / "deeds").read_text().splitlines()]
    (row,) = deeds[-1]["ids"]
    assert row["ExportFailures"] == 3
    said = capsys.readouterr().err
    assert "HTTP 403" in said
    assert "a text of the peer" not in said


def test_a_machine_without_its_id_does_not_send(tmp_path: Path) -> None:
    with pytest.raises(StartupError, match="no id of this machine"):
        sender(tmp_path, [], machine="cji-{vm_id}")


def test_it_loads_no_page_and_no_other_sink() -> None:
    code = "import sys, cji_worker.console.sending; print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    loaded = set(done.stdout.split())
    assert "cji_worker.console.rows" in loaded
    assert not loaded & {
        *("cji_worker.console.process", "cji_worker.console.http", "cji_worker.console.page"),
        *("cji_worker.deliverer", "opentelemetry.sdk.trace", "prometheus_client"),
    }
