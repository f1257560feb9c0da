"""Each kind of sink on its own: the requests that it makes, its bounds, and what it does where it cannot deliver."""

import json
import os
import socket
import struct
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from cji_core.errors import StartupError
from cji_core.format.configuration.sinks import JournaldTable
from cji_core.trail import GENESIS, JobCompleted, Volumes, append_record
from cji_core.trail.chain import read
from cji_core.trail.delivery import Delivered, DeliveryError, load_delivery
from cji_worker.deliverer.sinks import Sink, sinks
from cji_worker.deliverer.sinks.batch import outgoing
from cji_worker.deliverer.sinks.journald import Journald
from tests.support.sink_faults import Trail, azure_of
from tests.support.sink_server import Certificates, SinkServer


def served(folder: Path, faults: list[str | None]) -> tuple[SinkServer, Certificates]:
    """An endpoint with these faults, then none."""
    certificates = Certificates.make(folder)
    server = SinkServer(certificates, folder / "deeds", next_fault=lambda: faults.pop(0) if faults else None)
    threading.Thread(target=server.serve, daemon=True).start()
    return server, certificates


def made(folder: Path, table: str, certificates: Certificates | None = None) -> Sink:
    """The sink of a table, with its state in `folder`."""
    (folder / "state").mkdir(exist_ok=True)
    config = folder / "audit.toml"
    config.write_text(f'trail = "audit.log"\nstate = "state"\n[[sinks]]\nname = "sink"\n{table}')
    roots = certificates.roots if certificates else Path("/nowhere")
    (sink,) = sinks(load_delivery(config), azure_of(roots))
    return sink


def monitor(url: str) -> str:
    return f'kind = "monitor"\nendpoint = "{url}"\nrule = "dcr-{"0" * 32}"\nstream = "Custom-CjiAudit"\n'


def hub(url: str) -> str:
    return f'kind = "event_hubs"\nnamespace = "{url}"\nhub = "cji-audit"\n'


def drained(sink: Sink) -> Delivered:
    reached = sink.advance()
    while (further := sink.advance()) != reached:
        reached = further
    return reached


def accepted(folder: Path) -> list[str]:
    deeds = [json.loads(line) for line in (folder / "deeds").read_text().splitlines()]
    return [uid for deed in deeds for uid in deed.get("ids", ())]


@pytest.mark.parametrize("table", [monitor, hub])
def test_a_large_trail_travels_in_bounded_requests(tmp_path: Path, table: Any) -> None:
    """The endpoint refuses a request that is larger than the service takes."""
    server, certificates = served(tmp_path, [])
    trail, head = Trail(tmp_path / "audit.log"), GENESIS
    volumes = Volumes(rows_in=1, rows_out=1, bytes_in=1, bytes_out=1, chri_rows_out=0, subjects_out=1)
    with trail.path.open("ab") as file:
        for number in range(40):
            event = JobCompleted(
                job_id=f"{number:032x}",
                header_sha384="0" * 96,
                submitter="metro-pd",
                requesting_ori="WI0130000",
                purpose_code="C",
                duration_ms=1,
                volumes=volumes,
                receipt=f"head.{'r' * 60_000}.sig",
            )
            head, line = append_record(event, head=head, time="2026-11-24T15:00:00.12Z", worker="worker-1")
            file.write(line)
    sink = made(tmp_path, table(server.url), certificates)
    assert drained(sink) == Delivered(seq=head.seq, hash=head.hash)
    assert len(set(accepted(tmp_path))) == 40
    assert len((tmp_path / "deeds").read_text().splitlines()) >= 3


def test_a_batch_that_is_too_large_is_halved(tmp_path: Path) -> None:
    server, certificates = served(tmp_path, ["status-413"] * 3)
    trail = Trail(tmp_path / "audit.log")
    trail.grow(8)
    sink = made(tmp_path, monitor(server.url), certificates)
    for _ in range(3):
        with pytest.raises(DeliveryError, match="HTTP 413"):
            sink.advance()
    assert sink.advance().seq == 1
    assert drained(sink).seq == 8
    assert accepted(tmp_path) == trail.ids


def test_a_token_goes_to_hosts_of_the_cloud_and_nowhere_else(tmp_path: Path) -> None:
    server, certificates = served(tmp_path, ["redirect"])
    Trail(tmp_path / "audit.log").grow(1)
    sink = made(tmp_path, hub(server.url), certificates)
    with pytest.raises(DeliveryError, match="HTTP 307"):
        sink.advance()
    assert accepted(tmp_path) == []


@pytest.mark.parametrize(
    "url",
    [
        *("http://localhost:1", "https://localhost.example", "https://user@localhost", "https://localhost/path"),
        *("https://localhost?x", "https://[::1", "ftp://localhost", "localhost", "https://evil.example#localhost"),
    ],
)
def test_an_endpoint_elsewhere_is_refused_at_start(tmp_path: Path, url: str) -> None:
    with pytest.raises(StartupError, match=r"endpoint of sink|endpoint"):
        made(tmp_path, monitor(url))


@pytest.mark.parametrize(
    ("table", "why"),
    [
        ('kind = "kafka"\n', "unknown kind"),
        ('kind = "journald"\nmapping = "cef"\n', "mapping"),
        ('kind = "journald"\nurl = "x"\n', "url"),
        ('kind = "file"\npath = "relative.jsonl"\n', "path"),
        (monitor("https://localhost").replace("dcr-", "rule-"), "rule"),
        (monitor("https://localhost") + 'cloud = "elsewhere"\n', 'cloud = "elsewhere" is unknown'),
    ],
)
def test_a_table_that_is_not_one_is_refused(tmp_path: Path, table: str, why: str) -> None:
    with pytest.raises(StartupError, match=why):
        made(tmp_path, table)


def test_an_answer_is_not_repeated_in_the_error(tmp_path: Path) -> None:
    server, certificates = served(tmp_path, ["status-400"])
    Trail(tmp_path / "audit.log").grow(1)
    with pytest.raises(DeliveryError) as refused:
        made(tmp_path, monitor(server.url), certificates).advance()
    assert str(refused.value) == "HTTP 400"


def test_retry_after_is_passed_on(tmp_path: Path) -> None:
    server, certificates = served(tmp_path, ["status-429"])
    Trail(tmp_path / "audit.log").grow(1)
    with pytest.raises(DeliveryError) as refused:
        made(tmp_path, hub(server.url), certificates).advance()
    assert refused.value.after == 2.0


class Journal:
    """A socket in the place of the journal's."""

    def __init__(self, path: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(path))
        self.socket.settimeout(60)

    def entry(self) -> dict[str, bytes]:
        """The fields of the next entry, by the native protocol."""
        data, fds, _, _ = socket.recv_fds(self.socket, 1 << 20, 1)
        if fds:
            data = os.pread(fds[0], 1 << 24, 0)
            os.close(fds[0])
        found = {}
        while data:
            name, separator, rest = data.partition(b"\n")
            if b"=" in name:
                key, _, value = name.partition(b"=")
                found[key.decode()], data = value, rest
            else:
                assert separator
                (size,) = struct.unpack("<Q", rest[:8])
                found[name.decode()], data = rest[8 : 8 + size], rest[9 + size :]
        return found


def test_the_journal_gets_an_entry_for_each_event(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "socket")
    trail = Trail(tmp_path / "audit.log")
    trail.grow(3)
    sink = made(tmp_path, f'kind = "journald"\nsocket = "{tmp_path}/socket"\nmapping = "ocsf"\n')
    assert drained(sink).seq == 3
    for number, uid in enumerate(trail.ids, 1):
        entry = journal.entry()
        assert entry["CJI_EVENT_ID"] == uid.encode()
        assert entry["CJI_SEQ"] == str(number).encode()
        assert entry["PRIORITY"] == b"5"
        assert json.loads(entry["MESSAGE"])["metadata"]["uid"] == uid


def test_an_entry_larger_than_a_datagram_travels_in_memory(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "socket")
    trail = Trail(tmp_path / "audit.log")
    trail.grow(1)
    event = outgoing(read(trail.path.read_bytes()), "native")
    carrier = Journald(JournaldTable(kind="journald", name="journal", socket=str(tmp_path / "socket")))
    large = carrier.encode(event) + b"PADDING=" + b"x" * (1 << 20) + b"\n"
    carrier.send([large])
    assert journal.entry()["CJI_EVENT_ID"] == event.id.encode()


def test_a_journal_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    Trail(tmp_path / "audit.log").grow(1)
    with pytest.raises(DeliveryError, match="journal's socket"):
        made(tmp_path, f'kind = "journald"\nsocket = "{tmp_path}/none"\n').advance()


def test_a_file_may_be_rotated_and_a_torn_line_is_removed(tmp_path: Path) -> None:
    trail = Trail(tmp_path / "audit.log")
    out = tmp_path / "events.jsonl"
    sink = made(tmp_path, f'kind = "file"\npath = "{out}"\n')
    trail.grow(2)
    drained(sink)
    out.rename(tmp_path / "events.jsonl.1")
    trail.grow(1)
    drained(sink)
    with out.open("ab") as file:
        file.write(b'{"event_id":"torn')
    trail.grow(1)
    drained(sink)
    lines = (tmp_path / "events.jsonl.1").read_text().splitlines() + out.read_text().splitlines()
    assert [json.loads(line)["event_id"] for line in lines] == trail.ids
    assert out.stat().st_mode & 0o777 == 0o640 & ~_umask()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_what_is_not_a_file_is_not_written_to(tmp_path: Path) -> None:
    Trail(tmp_path / "audit.log").grow(1)
    (tmp_path / "target").touch()
    (tmp_path / "link").symlink_to(tmp_path / "target")
    os.mkfifo(tmp_path / "pipe")
    for name in ("link", "pipe"):
        with pytest.raises(DeliveryError):
            made(tmp_path, f'kind = "file"\npath = "{tmp_path}/{name}"\n').advance()
    assert (tmp_path / "target").read_bytes() == b""


def test_an_unreadable_state_is_refused_with_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "sink.delivered").write_text("{}")
    with pytest.raises(StartupError, match="delivered again, under the same ids"):
        made(tmp_path, 'kind = "journald"\n')


def test_a_restart_delivers_each_event_once_where_nothing_failed(tmp_path: Path) -> None:
    trail = Trail(tmp_path / "audit.log")
    table = f'kind = "file"\npath = "{tmp_path}/out"\n'
    for _ in range(3):
        trail.grow(2)
        drained(made(tmp_path, table))
    found = Counter(json.loads(line)["event_id"] for line in (tmp_path / "out").read_text().splitlines())
    assert found == Counter(trail.ids)
