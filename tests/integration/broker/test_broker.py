"""The broker between its users and a metadata service: real sockets, real user ids, hostile peers."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cji_core.hosts import IMDS
from cji_core.https import ExchangeError
from cji_core.metadata import (
    EVENTS,
    HEADERS,
    IDENTITY_SECONDS,
    LOCATION,
    SERVICE,
    TD_QUOTE,
    TOKEN,
    TokenError,
    client,
    start_request,
    token,
    token_target,
)
from cji_simulator.ports import free_port
from cji_simulator.scheduled_events import KINDS
from cji_worker.broker.grants import Grants, get
from cji_worker.broker.server import ANSWER_SECONDS, REQUEST_SECONDS, SEND_SECONDS, Broker, Limits
from cji_worker.probe.notice import DELIVERED, DRAIN, DRAINED, EXCHANGE_S
from tests.support.answers import Answers, serving
from tests.support.hostile_http import BEHAVIOURS, hostile
from tests.support.in_time import in_time
from tests.support.paths import ROOT
from tests.support.scheduled_events import NAME, MetadataService

VAULT, OTHER = "https://vault.azure.net", "https://storage.azure.com"
root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root may be other users")
KEYHOLDER, DOOR, STRANGER = 12101, 12102, 12103
SECRET = "token-of-the-keyholder"
AS_USER = """
import os, sys
from cji_core.metadata import TokenError, token
user, address, audience = int(sys.argv[1]), sys.argv[2], sys.argv[3]
os.setgroups([]), os.setgid(user), os.setuid(user)
try:
    print(token(address, audience, None).value)
except TokenError as error:
    print(error)
"""

AS_SERVICE = """
import os, sys
os.dup2(int(sys.argv[1]), 3, inheritable=True)
os.environ["LISTEN_PID"] = str(os.getpid())
os.execv(sys.executable, [sys.executable, "-m", "cji_worker.broker", sys.argv[2]])
"""


def answer(audience: str, value: str = SECRET) -> bytes:
    members = {"access_token": value, "expires_on": "9999999999", "resource": audience, "token_type": "Bearer"}
    return json.dumps(members).encode()


def service() -> Answers:
    return Answers({TOKEN: ({}, answer(VAULT)), LOCATION.partition("?")[0]: ({}, b"eastus"), TD_QUOTE: ({}, b"{}")})


@contextlib.contextmanager
def brokered(
    path: Path, grants: dict[int, Grants], service_address: str, *, drain: Path = DRAIN, **limits: float
) -> Iterator[str]:
    """A broker at a socket that every user can reach; its address."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(path))
        path.chmod(0o666)
        listener.listen()
        bounds = Limits(**limits)  # type: ignore[arg-type]
        broker = Broker(grants, address=service_address, limits=bounds, drain=drain)
        threading.Thread(target=broker.serve, args=(listener,), daemon=True).start()
        yield f"unix:{path}"
        listener.shutdown(socket.SHUT_RDWR)


def granted(*lines: str) -> Grants:
    return Grants(requests=frozenset(lines))


def own(*lines: str) -> dict[int, Grants]:
    return {os.getuid(): granted(*lines)}


def status(address: str, method: str, target: str, body: bytes | None = None) -> int:
    with client(address, seconds=10, limit=1 << 20) as asked:
        return asked.exchange(method, SERVICE + target, headers=HEADERS, body=body).status


def reason(address: str, data: bytes, *, seconds: float = 10) -> str:
    """What the broker says to these bytes."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(seconds)
        sock.connect(address.removeprefix("unix:"))
        with contextlib.suppress(BrokenPipeError):
            sock.sendall(data)
        found = b""
        while part := sock.recv(1 << 16):
            found += part
    return str(json.loads(found.partition(b"\r\n\r\n")[2])["error"])


def test_a_token_comes_with_its_own_audience_and_is_kept(tmp_path: Path) -> None:
    line = get(token_target(VAULT, "id"))
    with serving(service()) as azure, brokered(tmp_path / "s", own(line), azure.base) as address:
        assert {token(address, VAULT, "id").value for _ in range(3)} == {SECRET}
        assert azure.paths == [token_target(VAULT, "id")]
        assert SECRET not in repr(token(address, VAULT, "id"))


@pytest.mark.parametrize(
    "target",
    [
        token_target(OTHER, "id"),
        token_target(VAULT, "other"),
        token_target(VAULT, None),
        token_target(VAULT, "id") + "&resource=https://storage.azure.com",
        token_target(VAULT, "id") + "&object_id=1",
        token_target(VAULT, "id").replace("%3A", ":"),
        "//metadata/identity/oauth2/token",
        "http://169.254.169.254" + token_target(VAULT, "id"),
        LOCATION,
        "/metadata/instance?api-version=2021-02-01",
        "/",
    ],
)
def test_another_request_never_reaches_the_service(tmp_path: Path, target: str) -> None:
    line = get(token_target(VAULT, "id"))
    with serving(service()) as azure, brokered(tmp_path / "s", own(line), azure.base) as address:
        assert reason(address, f"GET {target} HTTP/1.1\r\n\r\n".encode()) == "not-granted"
        assert reason(address, f"PUT {token_target(VAULT, 'id')} HTTP/1.1\r\n\r\n".encode()) == "not-granted"
        assert azure.asked == []


def test_documents_are_for_who_needs_them(tmp_path: Path) -> None:
    report = b'{"report":"AAAA"}'
    with serving(service()) as azure, brokered(tmp_path / "s", own(f"POST {TD_QUOTE}"), azure.base) as address:
        assert status(address, "POST", TD_QUOTE, report) == 200
        assert azure.asked == [("POST", TD_QUOTE, report)]
        assert status(address, "GET", TD_QUOTE) == 403
        assert status(address, "GET", LOCATION) == 403


def test_any_identity_is_for_one_audience_and_a_client_id(tmp_path: Path) -> None:
    grants = {os.getuid(): Grants(requests=frozenset({"GET /x"}), any_identity=(VAULT,))}
    with serving(service()) as azure, brokered(tmp_path / "s", grants, azure.base) as address:
        for client_id in (None, "2" * 8 + "-2222-4222-8222-" + "2" * 12):
            assert token(address, VAULT, client_id).value == SECRET
        for audience, client_id in ((OTHER, None), (VAULT, "x"), (VAULT, "2" * 36 + "&x=" + "2" * 36)):
            with pytest.raises(TokenError, match="403"):
                token(address, audience, client_id)


@pytest.mark.root
@root_only
def test_each_user_gets_its_own_token_and_a_stranger_none() -> None:
    grants = {KEYHOLDER: granted(get(token_target(VAULT, None))), DOOR: granted(get(token_target("api://est", None)))}
    with public_folder() as folder, serving(service()) as azure, brokered(folder / "s", grants, azure.base) as address:
        asked = [(KEYHOLDER, VAULT), (DOOR, VAULT), (STRANGER, VAULT), (0, VAULT), (KEYHOLDER, "api://est")]
        found = [_as_user(user, address, audience) for user, audience in asked]
    assert found == [SECRET, "status 403", "status 403", "status 403", "status 403"]


@contextlib.contextmanager
def public_folder() -> Iterator[Path]:
    """A folder that every user may enter; those above `tmp_path` let nobody else in."""
    with tempfile.TemporaryDirectory(prefix="cji-") as name:
        folder = Path(name)
        folder.chmod(0o711)
        yield folder


def _as_user(user: int, address: str, audience: str) -> str:
    command = [sys.executable, "-c", AS_USER, str(user), address, audience]
    return subprocess.run(command, capture_output=True, check=True, text=True, cwd=ROOT, timeout=60).stdout.strip()


@pytest.mark.parametrize(
    "data",
    [
        b"\r\n\r\n",
        b"GET /x\r\n\r\n",
        b"GET /x HTTP/1.0\r\n\r\n",
        b"GET /x HTTP/1.1 \r\n\r\n",
        b"GET /\xff HTTP/1.1\r\n\r\n",
        b"GET /x HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx",
        b"GET /x HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"GET /x HTTP/1.1\r\nContent-Length: 5000\r\n\r\n",
        b"GET /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"GET /x HTTP/1.1\r\n\r\nGET /x HTTP/1.1\r\n\r\n",
        b"GET /x HTTP/1.1\r\nContent-Length: 1\r\n\r\nx",
        b"GET /x HTTP/1.1\r\na: " + b"a" * 9000 + b"\r\n\r\n",
        b"a" * 20_000,
    ],
)
def test_what_is_not_one_request_is_refused(tmp_path: Path, data: bytes) -> None:
    with serving(service()) as azure, brokered(tmp_path / "s", own("GET /x"), azure.base) as address:
        assert reason(address, data) == "malformed"
        assert azure.asked == []


def _malformed(address: str, data: bytes) -> None:
    assert reason(address, data) == "malformed"


def test_half_a_request_ends_after_its_time(tmp_path: Path) -> None:
    with (
        serving(service()) as azure,
        brokered(tmp_path / "s", own("GET /x"), azure.base, request_seconds=0.2) as address,
    ):
        for data in (b"", b"GET /x HTTP", b"GET /x HTTP/1.1\r\nContent-Length: 5\r\n\r\nx"):
            in_time(2, lambda: _malformed(address, data))  # noqa: B023 - used at once


def test_silent_connections_hold_up_nobody_else() -> None:
    """A user has its share of connections; further ones are refused at once, others' are served."""
    with (
        public_folder() as folder,
        serving(service()) as azure,
        brokered(folder / "s", own(get(LOCATION)), azure.base, connections=4) as address,
    ):
        silent = [socket.socket(socket.AF_UNIX) for _ in range(64)]
        try:
            for sock in silent:
                sock.connect(address.removeprefix("unix:"))
            assert reason(address, f"GET {LOCATION} HTTP/1.1\r\n\r\n".encode()) == "too-many"
            if os.geteuid() == 0:
                assert _as_user(STRANGER, address, VAULT) == "status 403"
        finally:
            for sock in silent:
                sock.close()
        until = time.monotonic() + 60
        while status(address, "GET", LOCATION) != 200:
            assert time.monotonic() < until
            time.sleep(0.05)


def test_a_user_without_a_request_is_a_stranger(tmp_path: Path) -> None:
    """What it sends is not read."""
    nothing = {os.geteuid(): Grants(requests=frozenset())}
    with serving(service()) as azure, brokered(tmp_path / "s", nothing, azure.base) as address:
        assert reason(address, b"") == "unknown-peer"


def test_a_user_that_asks_without_pause_is_slowed(tmp_path: Path) -> None:
    """Exchanges with the service are counted, tokens that are kept are not."""
    lines = get(LOCATION), get(token_target(VAULT, None))
    with (
        serving(service()) as azure,
        brokered(tmp_path / "s", own(*lines), azure.base, burst=5, per_second=0.001) as address,
    ):
        token(address, VAULT, None)
        found = [status(address, "GET", LOCATION) for _ in range(10)]
        assert found == [200] * 4 + [429] * 6
        assert token(address, VAULT, None).value == SECRET


def test_a_service_that_is_not_there_is_a_refusal(tmp_path: Path) -> None:
    with brokered(tmp_path / "s", own(get(LOCATION)), f"http://127.0.0.1:{free_port()}") as address:
        assert reason(address, f"GET {LOCATION} HTTP/1.1\r\n\r\n".encode()) == "away"


@pytest.mark.parametrize("behaviour", sorted(BEHAVIOURS))
def test_a_hostile_service_ends_within_the_time(tmp_path: Path, behaviour: str) -> None:
    lines = get(LOCATION), get(token_target(VAULT, None))
    (tmp_path / "hostile").mkdir()
    with hostile(tmp_path / "hostile", behaviour, tls=False) as at:
        base = f"http://127.0.0.1:{at.port}"
        with brokered(tmp_path / "s", own(*lines), base, answer_seconds=0.4) as address:
            in_time(4, lambda: _nothing_found(address))


def _nothing_found(address: str) -> None:
    with pytest.raises(TokenError):
        token(address, VAULT, None)
    with contextlib.suppress(ExchangeError):
        assert status(address, "GET", LOCATION) != 200


def test_no_log_has_a_token_or_a_target(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    line = get(token_target(VAULT, None))
    with serving(service()) as azure, brokered(tmp_path / "s", own(line), azure.base) as address:
        assert token(address, VAULT, None).value == SECRET
        for _ in range(5):
            assert reason(address, f"GET {token_target(OTHER, SECRET)} HTTP/1.1\r\n\r\n".encode()) == "not-granted"
    lines = [json.loads(each) for each in capfd.readouterr().err.splitlines()]
    assert [each["reason"] for each in lines if each["event"] == "request refused"] == ["not-granted"]
    assert SECRET not in json.dumps(lines)
    assert "storage" not in json.dumps(lines)


def test_the_process_has_no_right_but_its_socket_and_one_port(tmp_path: Path) -> None:
    """As its unit starts it: the socket is inherited, and files come from one folder."""
    path = tmp_path / "s"
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(path))
    listener.listen()
    command = [sys.executable, "-c", AS_SERVICE, str(listener.fileno()), str(tmp_path)]
    environment = {**os.environ, "LISTEN_FDS": "1", "LISTEN_FDNAMES": "broker"}
    process = subprocess.Popen(
        command, pass_fds=[listener.fileno()], env=environment, cwd=ROOT, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    try:
        while "broker serves" not in (line := process.stderr.readline()):
            assert line, "it ended"
        facts = dict(each.split(":\t", 1) for each in Path(f"/proc/{process.pid}/status").read_text().splitlines())
        assert (facts["CapPrm"], facts["NoNewPrivs"], facts["Seccomp"]) == ("0" * 16, "1", "2")
        assert reason(f"unix:{path}", b"GET / HTTP/1.1\r\n\r\n") in {"not-granted", "unknown-peer"}
    finally:
        process.terminate()
        assert process.wait(60) == -15
        listener.close()


def test_the_address_of_the_service_is_compiled_in() -> None:
    assert SERVICE == f"http://{IMDS}" == "http://169.254.169.254"


def test_the_approval_of_one_event_is_the_only_body(tmp_path: Path) -> None:
    """Who takes over the probe can approve one event at a time, and put nothing else into a request."""
    with MetadataService() as azure, approving(tmp_path, azure) as address:
        (tmp_path / DRAINED).touch()
        good = start_request(azure.scheduled.announce("Reboot", NAME))
        more = good.replace(b"}]", b'},{"EventId":"x"}]')
        for body in (None, b"{}", good + b" ", more, good.replace(b"Start", b"Stop"), good.replace(b"-", b'"')):
            assert status(address, "POST", EVENTS, body) == 400
        assert azure.scheduled.approved == []
        assert status(address, "POST", EVENTS, good) == 200
        assert status(address, "GET", EVENTS) == 200
    with pytest.raises(ValueError, match="x"):
        start_request('x"')


@pytest.mark.parametrize("kind", KINDS)
def test_an_event_is_approved_only_by_a_drained_machine(tmp_path: Path, kind: str) -> None:
    """X-probe: whoever takes over the probe ends no notice before its machine has drained."""
    needed = {"Freeze": None, "Preempt": DELIVERED, "Terminate": DELIVERED}.get(kind, DRAINED)
    with MetadataService() as azure, approving(tmp_path, azure) as address:
        mine = start_request(azure.scheduled.announce(kind, NAME))
        for state in (None, DRAINED, DELIVERED):
            if state is not None:
                (tmp_path / state).touch()
            if state == needed and state is not None:
                assert status(address, "POST", EVENTS, mine) == 200
                assert len(azure.scheduled.approved) == 1
                return
            assert status(address, "POST", EVENTS, mine) == 403
            assert azure.scheduled.approved == []


def test_no_event_of_another_machine_is_approved(tmp_path: Path) -> None:
    (tmp_path / DRAINED).touch()
    (tmp_path / DELIVERED).touch()
    with MetadataService() as azure, approving(tmp_path, azure) as address:
        announced = [azure.scheduled.announce("Terminate", *names) for names in (("cji-vmss_4",), (NAME, "cji-vmss_4"))]
        for event in (*announced, "C7061BAC-AFDC-4513-B24B-AA5F13A16123"):
            assert status(address, "POST", EVENTS, start_request(event)) == 403
        for azure.events in (None, b"nonsense"):  # it fails
            assert status(address, "POST", EVENTS, start_request(announced[0])) == 504
        assert azure.scheduled.approved == []


def test_an_approval_ends_before_its_caller_gives_up(tmp_path: Path) -> None:
    """It is three exchanges, which have their time together."""
    assert min(EXCHANGE_S, IDENTITY_SECONDS) > REQUEST_SECONDS + ANSWER_SECONDS + SEND_SECONDS
    (tmp_path / DRAINED).touch()
    with MetadataService() as azure, approving(tmp_path, azure, answer_seconds=1.0) as address:
        mine = start_request(azure.scheduled.announce("Reboot", NAME))
        azure.pause = 0.6
        assert status(address, "POST", EVENTS, mine) == 504
        assert azure.scheduled.approved == []


@contextlib.contextmanager
def approving(drain: Path, azure: MetadataService, **limits: float) -> Iterator[str]:
    grants = own(get(EVENTS), f"POST {EVENTS}")
    with brokered(drain / "s", grants, f"http://127.0.0.1:{azure.port}", drain=drain, **limits) as address:
        yield address


def test_the_drain_is_seen_without_a_right_to_files(tmp_path: Path) -> None:
    """The broker confines itself before it looks."""
    script = (
        "import sys; from pathlib import Path; from cji_worker.broker.__main__ import _confine; _confine()\n"
        "print((Path(sys.argv[1]) / 'drained').exists())\n"
        "try: open(Path(sys.argv[1]) / 'drained')\n"
        "except PermissionError: print('not read')"
    )
    (tmp_path / DRAINED).touch()
    command = [sys.executable, "-c", script, str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:2] == ["True", "not read"]
