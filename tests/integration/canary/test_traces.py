"""Nothing of records or keys leaves a trace: not in logs, audit, error details, files, nor on the wire.

Three jobs run over a recording proxy: one that succeeds, one whose last segment is altered, and one whose schema names
a planted value as a column. Then everything that the worker wrote, and every byte that crossed the wire, is searched.
"""

import os
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import ChainMap
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pyarrow as pa
import pytest

from cji_client.parts import seal_stream
from cji_client.seal import SealedJob
from cji_core.errors import Reason
from cji_core.format.envelope import input_aad
from cji_core.format.records import END_OF_STREAM, StreamWriter, tagged
from cji_simulator.canary import Planted, key_patterns
from cji_simulator.processes import each_process, ended
from cji_simulator.raw import until
from cji_simulator.scan import Canaries, scan_file
from cji_simulator.simulation import Simulation
from cji_simulator.site import Site, open_site
from cji_simulator.stepwise import Stepwise
from cji_simulator.tap import Tap
from tests.support.privileges import SEES_PROCESSES

ROWS = 30_000


@dataclass(slots=True, kw_only=True)
class Traces:
    """What there was to look at, by name."""

    canaries: Canaries
    plaintext: bytes
    outputs: bytes = b""
    wire: dict[str, bytes] = field(default_factory=dict)
    errors: list[bytes] = field(default_factory=list)
    files: dict[str, set[str]] = field(default_factory=dict)
    open_files: dict[str, set[str]] = field(default_factory=dict)


@pytest.fixture(scope="module")
def traces(site: Site) -> Traces:
    planted = Planted.new(ROWS)
    job = planted.seal(site)
    segments = list(job.seal_part(0, planted.table))
    canaries = Canaries(planted.patterns() | planted.person_patterns() | key_patterns(planted, job, segments[0]))
    traces = Traces(
        canaries=canaries, plaintext=planted.table.combine_chunks().to_batches()[0].serialize().to_pybytes()
    )
    started = time.time()
    with Tap(site.profile.target) as tap:
        with Stepwise(site, job, segments, target=tap.target) as run:
            run.send(3)
            run.read_until("segment")
            traces.open_files = _open_files(site, canaries)
            run.send()
            run.finish()
            run.read_all()
            assert run.receipt
        altered = planted.seal(site)
        segments = list(altered.seal_part(0, planted.table))
        segments[-1] = segments[-1][:-1] + bytes([segments[-1][-1] ^ 1])
        traces.errors += _refused(site, altered, segments, tap, Reason.SEGMENT_INVALID)
        hostile = planted.seal(site)
        segments = list(_hostile_schema(hostile, planted))
        traces.errors += _refused(site, hostile, segments, tap, Reason.SCHEMA_MISMATCH)
    traces.wire = {"sent": bytes(tap.sent), "answered": bytes(tap.answered)}
    places = [site.files.folder, Path.cwd(), Path(tempfile.gettempdir())]
    traces.files = {str(file): scan_file(file, canaries) for file in _written_since(started - 1, places)}
    return traces


def _hostile_schema(job: SealedJob, planted: Planted) -> Iterator[bytes]:
    schema = tagged("person/1", [pa.field(planted.marks["last"], pa.utf8())])
    batch = pa.RecordBatch.from_arrays([pa.array([planted.marks["SOC"]])], schema=schema)
    writer = StreamWriter(schema, max_batch_bytes=1 << 20)
    messages = [writer.schema_message(), *writer.batch_messages(batch), END_OF_STREAM]
    return seal_stream(job._dek, input_aad(job.header.sha384, 0), messages)


def _refused(site: Site, job: SealedJob, segments: list[bytes], tap: Tap, reason: Reason) -> list[bytes]:
    with Stepwise(site, job, segments, target=tap.target) as run:
        run.send()
        run.finish()
        assert run.refusal().reason is reason
        return run.error_texts()


def _written_since(start: float, places: list[Path]) -> Iterator[Path]:
    """Files below these folders that were written since; what other programs write there holds no canary either."""
    for place in places:
        for folder, folders, names in os.walk(place):
            folders[:] = [f for f in folders if f not in {".git", ".venv", "__pycache__", "node_modules"}]
            for name in names:
                file = Path(folder, name)
                try:
                    recent = file.is_file() and not file.is_symlink() and file.stat().st_mtime >= start
                    if recent and file.stat().st_size < 64 << 20:
                        yield file
                except OSError:
                    continue


def _open_files(site: Site, canaries: Canaries) -> dict[str, set[str]]:
    """What is in the regular files that processes of the worker have open, deleted ones too; only root sees them."""
    if not SEES_PROCESSES:
        return {}

    def look(name: str, pid: int) -> dict[str, set[str]]:
        found: dict[str, set[str]] = {}
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(FileNotFoundError):  # closed meanwhile
                target = os.readlink(entry)
                if not target.startswith(("/secretmem", "/dev/", "/proc/")) and target.startswith("/"):
                    found[f"{name}: {target}"] = scan_file(entry, canaries)
        return found

    return dict(ChainMap(*each_process(site.worker.pids, look).values()))


def test_the_search_finds_what_it_is_for(traces: Traces, tmp_path: Path) -> None:
    found = {label for label, _ in traces.canaries.find(traces.plaintext)}
    assert {"last utf-8", "first utf-8", "SOC utf-8"} <= found
    assert any(label.startswith("DOB row") for label in found)
    written = tmp_path / "trace"
    written.write_bytes(traces.plaintext)
    assert scan_file(written, traces.canaries) == found
    assert written in set(_written_since(time.time() - 60, [tmp_path]))


def test_no_canary_on_the_wire(traces: Traces) -> None:
    assert len(traces.wire["sent"]) > 3 * len(traces.plaintext) // 2
    assert len(traces.wire["answered"]) > len(traces.plaintext) // 2
    for way, data in traces.wire.items():
        assert not list(traces.canaries.find(data)), way
        # TLS: not even names of the contract are readable
        assert b"cji.worker" not in data, way
        assert b"cji-pool-simulation" not in data, way


def test_the_proxy_records_what_is_not_encrypted(traces: Traces) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        with Tap(f"127.0.0.1:{listener.getsockname()[1]}") as tap:
            host, port = tap.target.split(":")
            with socket.create_connection((host, int(port))) as client:
                server, _ = listener.accept()
                with server:
                    client.sendall(traces.plaintext[-(1 << 20) :])
                    client.shutdown(socket.SHUT_WR)
                    while server.recv(1 << 16):
                        pass
        assert list(traces.canaries.find(bytes(tap.sent)))


def test_no_canary_in_what_a_refused_caller_is_told(traces: Traces) -> None:
    assert any(b"SEGMENT_INVALID" in text for text in traces.errors)
    assert any(b"SCHEMA_MISMATCH" in text for text in traces.errors)
    for text in traces.errors:
        assert not list(traces.canaries.find(text)), text[:200]


def test_x16_no_file_has_a_canary_but_the_trail_its_person(traces: Traces, site: Site) -> None:
    assert {str(site.files.audit), str(site.worker.log)} <= set(traces.files)
    assert "SCHEMA_MISMATCH" in site.worker.log.read_text()
    found = {name: set(labels) for name, labels in traces.files.items() if labels}
    assert found == {str(site.files.audit): {"requestor utf-8"}}


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="looking into descriptors of other processes needs root")
def test_x16_no_canary_in_files_that_are_open_during_a_job(traces: Traces, site: Site) -> None:
    assert any(name.endswith(str(site.files.audit)) for name in traces.open_files)
    assert any("cji-ring" in name for name in traces.open_files)
    found = {name: set(labels) for name, labels in traces.open_files.items() if labels}
    assert found == {f"keyholder: {site.files.audit}": {"requestor utf-8"}}


@pytest.mark.parametrize("fatal", [signal.SIGSEGV, signal.SIGABRT])
def test_a_crash_writes_no_core(
    fatal: signal.Signals, azure: Simulation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even where the limit allows cores. An ordinary process in the same place does write one.

    A cell is the first process of its namespace, to which others can send no fault: tests/adversarial has one crash.
    """
    monkeypatch.chdir(tmp_path)
    soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
    if not hard:
        pytest.skip("the hard limit forbids cores here: there is nothing to show")
    resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))
    try:
        with open_site(tmp_path / f"core-{fatal.name.lower()}", azure) as site:
            keyholder = site.worker.pids["keyholder"]
            os.kill(keyholder, fatal)
            until(partial(ended, keyholder))
            assert site.worker.process.wait(60) == 1
        ordinary = subprocess.run(
            [sys.executable, "-c", f"import os; os.kill(os.getpid(), {fatal.value})"], check=False
        )
    finally:
        resource.setrlimit(resource.RLIMIT_CORE, (soft, hard))
    assert ordinary.returncode == -fatal
    cores = [file for file in tmp_path.iterdir() if file.name.startswith("core") and file.is_file()]
    if Path("/proc/sys/kernel/core_pattern").read_text().startswith("core"):
        assert len(cores) == 1, "the ordinary process's core, and no other"
    else:
        assert not cores
