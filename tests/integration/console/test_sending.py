"""The console that sends, with the rights that it keeps: what it shows, its service, and nothing else."""

import json
import socket
import subprocess
import sys
import threading
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec

from cji_core.format.configuration.console import ConsoleConfig, MonitorSection
from cji_simulator.certificates import authority, leaf, pem
from tests.support.console_tools import status_socket
from tests.support.paths import ROOT
from tests.support.sink_server import Certificates, SinkServer

CLIENT = "00000000-0000-4000-8000-000000000001"


def test_it_sends_with_the_rights_that_it_keeps(tmp_path: Path) -> None:
    for name in ("worker", "tls", "trail"):
        (tmp_path / name).mkdir()
    key = ec.generate_private_key(ec.SECP256R1())
    issued = leaf("door", key, authority("CA", key), hosts=["localhost"])
    (tmp_path / "tls/server.pem").write_bytes(pem(issued.certificate))
    (tmp_path / "trail/audit.log").write_text("a line")
    certificates = Certificates.make(tmp_path)
    server = SinkServer(certificates, tmp_path / "deeds", next_fault=lambda: None)
    threading.Thread(target=server.serve, daemon=True).start()
    monitor = MonitorSection(endpoint=server.url, rule=f"dcr-{'0' * 32}", client_id=CLIENT, machine="cji-1")
    config = ConsoleConfig(
        status_socket=str(tmp_path / "worker/status.sock"),
        certificate=str(tmp_path / "tls/server.pem"),
        disk=str(tmp_path / "trail"),
        monitor=monitor,
    )
    with status_socket(tmp_path / "worker"), socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        given = [msgspec.json.encode(config).decode(), certificates.roots, tmp_path / "trail", port]
        command = [sys.executable, "-m", "tests.support.confined_sender", *map(str, given)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("[]\n", "")
    (deed,) = (json.loads(line) for line in (tmp_path / "deeds").read_text().splitlines())
    (row,) = deed["ids"]
    assert row["WorkerState"] == "serving"
    assert row["ExpirySeconds"]["certificate"] > 0
    assert row["AuditDiskBytes"]["size"] > 0
