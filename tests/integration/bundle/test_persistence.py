"""A machine whose bundle does not come, or is refused, starts when somebody has mended that, and never before."""

import grp
import http.server
import json
import os
import shutil
import ssl
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives.asymmetric import ec

from cji_attestation.bundle.archive import Bundle, read
from cji_attestation.bundle.signatures import verify
from cji_core.boot_codes import BOOT_CODES, BootCode
from cji_core.command import build
from cji_simulator.simulation import Simulation
from cji_worker.bundle import persistence
from cji_worker.bundle.apply import apply
from cji_worker.bundle.persistence import Shown, persist
from cji_worker.bundle.source import fetch
from tests.support.authority import Authority, private_pem
from tests.support.azurite import StorageCredential
from tests.support.bundles import NOW, accepted, files, keys_folder, made

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="apply gives files to groups, as root")
GROUPS = {"cji": 4001, "cji-door": 4002, "cji-audit": 4003, "cji-console": 4004}

ERRORS = {
    403: "AuthorizationPermissionMismatch",
    404: "BlobNotFound",
    429: "TooManyRequests",
    500: "InternalError",
    503: "ServerBusy",
}


@pytest.fixture
def vm(azure: Simulation) -> Simulation:
    found = azure.another_vm()
    found.reboot()
    return found


@pytest.fixture
def run() -> Iterator[Path]:
    """A folder in memory, as /run is."""
    folder = Path(tempfile.mkdtemp(prefix="cji-bundle-", dir="/dev/shm"))
    yield folder
    shutil.rmtree(folder)


class Waits:
    """The seconds that a machine would have waited; at each of them somebody does what comes next."""

    def __init__(self, code_file: Path, *deeds: Callable[[], object]) -> None:
        self._file, self._deeds = code_file, list(deeds)
        self.codes, self.seconds = list[str](), list[float]()

    def __call__(self, seconds: float) -> None:
        self.codes.append(self._file.read_text().strip())
        self.seconds.append(seconds)
        self._deeds.pop(0)()


class Storage:
    """Blob Storage that answers each request with the next of these statuses, then with the blob."""

    def __init__(self, blob: bytes) -> None:
        self.blob, self.statuses, self.url = blob, list[int](), ""

    def answer(self, handler: http.server.BaseHTTPRequestHandler) -> None:
        """Answer one HEAD or GET."""
        if self.statuses:
            status = self.statuses.pop(0)
            handler.send_response(status)
            handler.send_header("x-ms-error-code", ERRORS[status])
            handler.send_header("Content-Length", "0")
            handler.end_headers()
            return
        first, last = 0, len(self.blob) - 1
        if wanted := handler.headers.get("x-ms-range"):
            first, last = (int(each) for each in wanted.removeprefix("bytes=").split("-"))
        handler.send_response(206 if wanted else 200)
        for name, value in {
            "Content-Length": last - first + 1,
            "Content-Range": f"bytes {first}-{last}/{len(self.blob)}",
            "ETag": '"1"',
            "x-ms-blob-type": "BlockBlob",
            "Last-Modified": "Tue, 01 Dec 2026 00:00:00 GMT",
        }.items():
            handler.send_header(name, str(value))
        handler.end_headers()
        if handler.command == "GET":
            handler.wfile.write(self.blob[first : last + 1])


@contextmanager
def serving(storage: Storage, folder: Path) -> Iterator[str]:
    """The storage on loopback with TLS; the PEM of its authority."""
    certifier, key = Authority(name="storage"), ec.generate_private_key(ec.SECP256R1())
    (folder / "tls.pem").write_text(certifier.issue("127.0.0.1", key.public_key()))
    (folder / "tls.key").write_bytes(private_pem(key))

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            storage.answer(self)

        do_HEAD = do_GET  # noqa: N815

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            """Nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "tls.pem", folder / "tls.key")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    storage.url = f"https://127.0.0.1:{server.server_port}"
    try:
        yield certifier.pem
    finally:
        server.shutdown()
        server.server_close()
        thread.join(60)


def test_a_machine_outlasts_every_outage(
    vm: Simulation, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pointer = {"version": 1, "account": "cjiconfig", "container": "bundles", "blob": "pool/7.bundle"}
    storage = Storage(made(files(cloud="simulation")).to_bytes())
    vm.set_user_data(b"")
    with serving(storage, tmp_path) as roots:
        trust = msgspec.structs.replace(vm.trust, blob=f"{storage.url}/{{account}}", tls_roots=roots)

        def attempt() -> bool:
            bundle = read(fetch(trust, {}, identity=lambda _: StorageCredential()).data)
            verify(bundle, accepted(), now=datetime.now(UTC))
            folder, state = run / "cji" / "config", run / "state"
            return apply(bundle, trust=vm.trust, folder=folder, state=state, gid=GROUPS.__getitem__).measured

        def name_the_blob() -> None:
            vm.set_user_data(json.dumps(pointer).encode())
            storage.statuses.extend([503] * 3)

        def next_answers(*statuses: int) -> Callable[[], None]:
            return lambda: storage.statuses.extend(statuses)

        waits = Waits(
            run / "code",
            name_the_blob,
            next_answers(429, 429, 429),
            next_answers(403),
            next_answers(404),
            next_answers(500, 503),  # and then the blob: one attempt outlasts that by itself
        )
        monkeypatch.setattr(persistence, "sleep", waits)
        assert persist(attempt, Shown(run / "code"))
    away = [BootCode.AWAY, BootCode.AWAY]
    assert waits.codes == [BootCode.NO_USER_DATA, *away, BootCode.DENIED, BootCode.ABSENT]
    assert all(1 <= each <= 61 for each in waits.seconds)
    assert not (run / "code").exists()
    assert (run / "cji" / "config" / "worker.toml").exists()


def refused() -> list[tuple[Bundle | bytes, BootCode]]:
    given = files(cloud="simulation")
    return [
        (b"#cloud-config", BootCode.USER_DATA),
        (made(given, by=None), BootCode.SIGNATURE),
        (made(given, by=ec.generate_private_key(ec.SECP384R1()), serial=99), BootCode.SIGNATURE),
        (made(given, created=NOW - timedelta(days=100), serial=99), BootCode.DATES),
        (made(given, serial=4), BootCode.SERIAL),
        (made(given, pool="pool-8", serial=99), BootCode.POOL),
        (made(files(cloud="simulation", top="unknown = 1"), serial=99), BootCode.UNUSABLE),
    ]


def test_a_refused_bundle_is_replaced_by_nothing_but_the_next(
    vm: Simulation, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command as its unit runs it. Each bundle is refused, and the one after it is found without a restart."""
    monkeypatch.setattr(grp, "getgrnam", lambda name: SimpleNamespace(gr_gid=GROUPS[name]))
    keys = keys_folder(run / "keys")
    (keys / "minimum-serial").write_text("5")
    bundles = [(each if isinstance(each, bytes) else each.to_bytes(), code) for each, code in refused()]
    good = made(files(cloud="simulation"))
    config = run / "cji" / "config"

    def then(data: bytes) -> Callable[[], None]:
        def deed() -> None:
            assert not config.exists()
            vm.set_user_data(data)

        return deed

    vm.set_user_data(bundles[0][0])
    waits = Waits(run / "code", *(then(data) for data, _ in bundles[1:]), then(good.to_bytes()))
    monkeypatch.setattr(persistence, "sleep", waits)
    places = ["--keys", keys, "--folder", config, "--state", run / "state", "--code-file", run / "code"]
    arguments = ["bundle", "apply", *map(str, places), "--cloud", "simulation", "--persist"]
    done = CliRunner().invoke(build(vm.trust), arguments, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert waits.codes == [code for _, code in bundles]
    assert all(240 <= each <= 360 for each in waits.seconds)
    assert (config / "bundle.head").read_bytes() == good.to_head()
    shown = [json.loads(line) for line in done.stderr.splitlines() if line.startswith("{")]
    told = [line for line in shown if line["event"] == "no bundle in force"]
    assert [line["check"] for line in told] == list(dict.fromkeys(waits.codes))
    assert all(line["what"] == BOOT_CODES[line["check"]].what for line in told)
    assert not (run / "code").exists()
