"""X17 and the door: weak handshakes, forged identities, and ways around it, on what `make demo` starts.

What a server of the door does by itself holds for the one that meets callers where the kernel counts connections, and
for the one behind the server that counts; shares that the kernel counts are in test_x11_firewall.

Red before: gRPC's own TLS accepted TLS_AES_128_GCM_SHA256 and TLS 1.2. Each part is red without the line of
`cji_worker.door.config` that its docstring names.
"""

import contextlib
import functools
import hashlib
import os
import re
import resource
import select
import shutil
import socket
import ssl
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from cji_core.command.findings import NotOk
from cji_core.fips import mapped_modules
from cji_core.format.configuration.worker import Config
from cji_core.trail import JobAdmitted, claims_unverified
from cji_core.wire.v1 import worker_pb2 as pb
from cji_core.wire.v1.worker_pb2_grpc import CjiWorkerStub
from cji_simulator.certificates import Credential, authority, leaf, pem, private_pem
from cji_simulator.door import DOOR_USER, Door, DoorError
from cji_simulator.ports import free_port
from cji_simulator.raw import RawWorker, events, forge, sends, until
from cji_simulator.site import Site, people
from cji_worker.door.config import HANDSHAKE_S, MAX_CONNECTIONS, private_folder
from cji_worker.door.report import CERTIFICATE_HEADER, PREFIX, SOURCE_HEADER, TLS_HEADER
from cji_worker.verbs.door_checks import check_module
from tests.support.connections import STRONG, escaped
from tests.support.fips import configured, debian_module
from tests.support.neighbours import FIRST, SECOND, STRANGER, Neighbours, neighbours, san

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root has more than one user id")


either = pytest.mark.parametrize("town", ["firewall", "door"], indirect=True)
"""For both of what counts connections."""


@pytest.fixture(scope="module")
def towns(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Neighbours]]:
    with contextlib.ExitStack() as stack:

        @functools.cache
        def start(counter: str) -> Neighbours:
            folder = tmp_path_factory.mktemp(counter)
            return stack.enter_context(neighbours(folder, connections_counted_by=counter))

        yield start


@pytest.fixture
def town(towns: Callable[[str], Neighbours], request: pytest.FixtureRequest) -> Neighbours:
    return towns(getattr(request, "param", "door"))


@pytest.fixture
def site(town: Neighbours) -> Site:
    return town.site


def handshake(
    site: Site, *options: str, certificate: bool = True, send: str = "", folder: Path | None = None
) -> tuple[int, str]:
    """Exit status and output of `openssl s_client` with these options."""
    client = folder or site.files.folder / "client"
    own = ["-cert", str(client / "client.pem"), "-key", str(client / "client.key")] if certificate else []
    command = ["openssl", "s_client", "-connect", site.profile.target, "-CAfile", str(client / "ca.pem")]
    done = subprocess.run(
        [*command, "-verify_return_error", "-alpn", "h2", *own, *options],
        input=send,
        capture_output=True,
        check=False,
        text=True,
        errors="replace",
        timeout=30,
    )
    return done.returncode, done.stdout + done.stderr


# ------------------------------------------------------------------ handshakes


def test_x17_256_bits_are_accepted(site: Site) -> None:
    status, text = handshake(site, "-ciphersuites", "TLS_AES_256_GCM_SHA384")
    assert status == 0
    assert "TLSv1.3, Cipher is TLS_AES_256_GCM_SHA384" in text


@pytest.mark.parametrize("suite", ["TLS_AES_128_GCM_SHA256", "TLS_CHACHA20_POLY1305_SHA256", "TLS_AES_128_CCM_SHA256"])
def test_x17_no_other_suite_is_accepted(site: Site, suite: str) -> None:
    """Ciphersuites. ChaCha20 has 256 bits, and no FIPS module has ChaCha20."""
    status, text = handshake(site, "-ciphersuites", suite)
    assert status != 0
    assert "handshake failure" in text


def test_x17_every_suite_at_once_is_the_strong_one(site: Site) -> None:
    suites = "TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_256_GCM_SHA384"
    assert "Cipher is TLS_AES_256_GCM_SHA384" in handshake(site, "-ciphersuites", suites)[1]


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_1", "-tls1"])
def test_x17_nothing_below_tls_1_3(site: Site, version: str) -> None:
    """ssl_protocols."""
    status, text = handshake(site, version, "-cipher", "ALL:@SECLEVEL=0")
    assert status != 0
    assert "protocol version" in text or "no protocols available" in text


@pytest.mark.parametrize("group", ["X25519", "X448", "ffdhe2048"])
def test_x17_no_group_that_a_fips_module_lacks(site: Site, group: str) -> None:
    """ssl_ecdh_curve."""
    status, text = handshake(site, "-groups", group)
    assert status != 0
    assert "handshake failure" in text


def groups() -> list[str]:
    version = subprocess.run(["openssl", "version"], capture_output=True, check=True, text=True).stdout.split()[1]
    hybrid = ["X25519MLKEM768"] if tuple(map(int, re.findall(r"\d+", version)[:2])) >= (3, 5) else []
    return [*hybrid, "P-384", "P-256"]


@pytest.mark.parametrize("group", groups())
def test_x17_hybrid_and_nist_groups_are_accepted(site: Site, group: str) -> None:
    assert handshake(site, "-groups", group)[0] == 0


@either
def test_c07_a_caller_without_a_certificate_is_refused(site: Site) -> None:
    """VerifyMode."""
    _, text = handshake(site, "-ign_eof", certificate=False)
    assert "certificate required" in text


def ended(found: x509.Certificate, ca: Credential) -> x509.Certificate:
    """The same certificate, until an hour ago."""
    builder = x509.CertificateBuilder(extensions=list(found.extensions)).serial_number(found.serial_number)
    builder = builder.issuer_name(found.issuer).subject_name(found.subject).public_key(found.public_key())
    end = datetime.now(UTC) - timedelta(hours=1)
    builder = builder.not_valid_before(end - timedelta(hours=1)).not_valid_after(end)
    return builder.sign(ca.key, hashes.SHA256())


@either
@pytest.mark.parametrize("what", ["foreign", "expired"])
def test_c07_a_certificate_without_a_root_reaches_nothing(town: Neighbours, what: str) -> None:
    """ssl_verify_client, ssl_client_certificate: the front hears nothing of its calls, so no line says anything."""
    key = ec.generate_private_key(ec.SECP256R1())
    false = authority("Second Agency CA", ec.generate_private_key(ec.SECP256R1()))  # the name of the true one
    own = leaf(FIRST, key, false if what == "foreign" else town.ca, uris=[san(FIRST)]).certificate
    if what == "expired":
        own = ended(own, town.ca)
    credentials = grpc.ssl_channel_credentials((town.folder(FIRST) / "ca.pem").read_bytes(), private_pem(key), pem(own))
    before = town.site.worker.log.read_bytes()
    with grpc.secure_channel(town.site.profile.target, credentials) as channel, pytest.raises(grpc.RpcError) as error:
        CjiWorkerStub(channel).Describe(pb.DescribeRequest(), timeout=60)
    assert error.value.code() is grpc.StatusCode.UNAUTHENTICATED
    assert town.site.worker.log.read_bytes() == before


def test_x17_a_session_is_never_resumed(site: Site) -> None:
    """ssl_session_tickets, ssl_session_cache: a resumed session would keep a certificate that has expired."""
    client = site.files.folder / "client"
    context = ssl.create_default_context(cafile=client / "ca.pem")
    context.load_cert_chain(client / "client.pem", client / "client.key")
    context.set_alpn_protocols(["h2"])
    host, port = site.profile.target.split(":")
    session: ssl.SSLSession | None = None
    for _ in range(2):
        with (
            socket.create_connection((host, int(port)), timeout=60) as plain,
            context.wrap_socket(plain, server_hostname=host, session=session) as tls,
        ):
            tls.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0")
            assert tls.recv(64)  # tickets of TLS 1.3 come before the first data
            assert not tls.session_reused
            session = tls.session


@either
@pytest.mark.parametrize("protocol", ["http/1.1", None])
def test_c04_nothing_but_http2(site: Site, protocol: str | None) -> None:
    """return 444: HTTP/1 would be translated, with every ambiguity of its framing."""
    client = site.files.folder / "client"
    context = ssl.create_default_context(cafile=client / "ca.pem")
    context.load_cert_chain(client / "client.pem", client / "client.key")
    if protocol:
        context.set_alpn_protocols([protocol])
    host, port = site.profile.target.split(":")
    answer = b""
    with socket.create_connection((host, int(port)), timeout=60) as plain:
        try:
            with context.wrap_socket(plain, server_hostname=host) as tls:
                tls.sendall(b"POST /grpc.health.v1.Health/Check HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
                while more := tls.recv(4096):
                    answer += more
        except OSError:
            pass
    assert not answer.startswith(b"HTTP/1")


def test_the_door_works_in_a_fips_module(town: Neighbours, tmp_path: Path) -> None:
    """With Debian's module. `cji door check --pid`, which the unit runs after each start, notices its absence."""
    with private_door(town) as (config, folder):
        strict, target = msgspec.structs.replace(config, require_fips=True), f"127.0.0.1:{config.listen.port}"
        module = configured(folder / "module")
        (folder / "module").chmod(0o755)
        with Door(strict, log=tmp_path / "log", environment=module) as door:
            assert mapped_modules(str(door.pid)) == {str(debian_module())}
            assert handshake(town.site, "-connect", target, "-groups", "P-384")[0] == 0
            assert handshake(town.site, "-connect", target, "-groups", "X25519")[0] != 0
        with Door(strict, log=tmp_path / "log") as door:
            with pytest.raises(NotOk, match="the door uses no FIPS module"):
                check_module(strict, door.pid)
            assert check_module(config, door.pid) == "no FIPS module"


@contextlib.contextmanager
def private_door(town: Neighbours) -> Iterator[tuple[Config, Path]]:
    """The configuration of a door beside the worker's own, with its own port, and its folder."""
    with tempfile.TemporaryDirectory(prefix="cji-") as folder:
        os.chmod(folder, 0o755)
        config = town.site.worker.config
        listen = msgspec.structs.replace(config.listen, port=free_port(), socket=f"{folder}/socket/front.sock")
        yield msgspec.structs.replace(config, listen=listen), Path(folder)


# ------------------------------------------------------------------ connections


def ends(connection: socket.socket, seconds: float) -> float:
    """Seconds until the other side ends this connection."""
    connection.settimeout(seconds)
    began = time.monotonic()
    with contextlib.suppress(ConnectionError):
        while connection.recv(4096):
            pass
    return time.monotonic() - began


@either
def test_x11_a_connection_without_a_handshake_ends(site: Site) -> None:
    """client_header_timeout."""
    host, port = site.profile.target.split(":")
    with socket.create_connection((host, int(port))) as silent:
        assert ends(silent, HANDSHAKE_S + 60) > HANDSHAKE_S - 1


@either
def test_x11_a_handshake_byte_by_byte_ends(site: Site) -> None:
    """client_header_timeout: it is for the whole handshake, not for each of its parts."""
    host, port = site.profile.target.split(":")
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = ssl.create_default_context().wrap_bio(incoming, outgoing, server_hostname="localhost")
    with contextlib.suppress(ssl.SSLWantReadError):
        tls.do_handshake()
    began = time.monotonic()
    with socket.create_connection((host, int(port))) as slow, contextlib.suppress(ConnectionError):
        slow.settimeout(0.25)
        for byte in outgoing.read():
            slow.send(bytes([byte]))
            with contextlib.suppress(TimeoutError):
                if not slow.recv(4096):
                    break
    assert HANDSHAKE_S - 1 < time.monotonic() - began < HANDSHAKE_S + 40


@either
def test_x11_a_connection_without_http2_ends(site: Site) -> None:
    """client_header_timeout: a handshake alone keeps no connection."""
    client = site.files.folder / "client"
    context = ssl.create_default_context(cafile=client / "ca.pem")
    context.load_cert_chain(client / "client.pem", client / "client.key")
    context.set_alpn_protocols(["h2"])
    host, port = site.profile.target.split(":")
    with (
        socket.create_connection((host, int(port))) as plain,
        context.wrap_socket(plain, server_hostname=host) as silent,
    ):
        assert ends(silent, 2 * HANDSHAKE_S + 60) > HANDSHAKE_S - 1


def test_x11_an_address_has_its_share_of_connections(town: Neighbours) -> None:
    """limit_conn address: the next one of this address is ended at once, and another address connects."""
    host, port = town.site.profile.target.split(":")
    with contextlib.ExitStack() as stack:
        mine = []
        for _ in range(town.site.worker.config.limits.connections_per_address + 8):
            connection = stack.enter_context(socket.socket())
            connection.bind(("127.0.0.9", 0))
            connection.connect((host, int(port)))
            mine.append(connection)
        share = town.site.worker.config.limits.connections_per_address
        until(lambda: len(mine) - len(select.select(mine, [], [], 0)[0]) <= share)
        time.sleep(1)
        assert len(mine) - len(select.select(mine, [], [], 0)[0]) == share
        with town.raw(FIRST) as raw:
            assert raw.stub.Describe(pb.DescribeRequest(), timeout=60).operations


FIRST_CALL = (
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"  # the preface, empty SETTINGS, HEADERS of `POST https://x/x`
    b"\0\0\0\4\0\0\0\0\0"
    b"\0\0\x09\1\5\0\0\0\1\x83\x87\x04\x02/x\x01\x01x"
)


@pytest.fixture
def many_descriptors() -> Iterator[None]:
    """As many as this user may have: a shell of an ordinary user begins with 1024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@either
@pytest.mark.usefixtures("many_descriptors")
@pytest.mark.parametrize("act", ["silent", "idle"])
def test_x11_a_crowd_of_addresses_shuts_nobody_out(town: Neighbours, act: str) -> None:
    """worker_connections: more connections than there are, from many addresses; the longest silent ones leave."""
    host, port = town.site.profile.target.split(":")
    limits = town.site.worker.config.limits
    share, counted = limits.connections_per_address, limits.connections_counted_by == "door"
    context = ssl.create_default_context(cafile=town.folder(STRANGER) / "ca.pem")
    context.load_cert_chain(town.folder(STRANGER) / "client.pem", town.folder(STRANGER) / "client.key")
    context.set_alpn_protocols(["h2"])
    with contextlib.ExitStack() as stack:
        for number in range(
            MAX_CONNECTIONS * (6 if counted else 9) // 4
        ):  # one that the door counts takes three places
            connection = socket.socket()
            connection.bind((f"127.0.1.{1 + number // (share - 1)}", 0))
            connection.connect((host, int(port)))
            if act == "idle":
                with contextlib.suppress(OSError):
                    connection = context.wrap_socket(connection, server_hostname=host)
                    connection.sendall(FIRST_CALL)
            stack.callback(connection.close)
            if number % 256 == 255:
                with town.raw(FIRST) as raw:
                    assert raw.stub.Describe(pb.DescribeRequest(), timeout=60).operations
        job = forge(town.site, signing_key=town.signing[FIRST])
        with town.raw(FIRST) as raw:
            assert raw.run(job.messages(job.stream(people(2)))).receipt


@either
def test_x01_a_caller_that_does_not_read_holds_up_nobody(town: Neighbours) -> None:
    """Two callers never share a connection between door and front."""
    job = forge(town.site, signing_key=town.signing[FIRST])
    with town.raw(FIRST) as slow, slow.stream(timeout=60) as stream, town.raw(SECOND) as other:
        assert stream.begin(job.open()).WhichOneof("message") == "accepted"
        stream.send(*sends(job.stream(people(200_000))))  # an answer of more than any window, which nobody reads
        for _ in range(5):
            work = forge(town.site, signing_key=town.signing[SECOND])
            assert other.run(work.messages(work.stream(people(2))), timeout=60).receipt


# ------------------------------------------------------------------ identity


def forged(site: Site) -> list[tuple[str, str | bytes]]:
    """What the door would say about somebody else."""
    return [
        (CERTIFICATE_HEADER, escaped(site.profile.tls().cert_pem)),
        (SOURCE_HEADER, "[192.0.2.1]:443"),
        (TLS_HEADER, STRONG),
    ]


@either
def test_x17_forged_identity_headers_are_overwritten(site: Site) -> None:
    """grpc_set_header: a second value would be refused by the front."""
    with RawWorker.of(site) as raw:
        assert raw.stub.Describe(pb.DescribeRequest(), metadata=forged(site), timeout=60).operations
        assert raw.stub.Describe(pb.DescribeRequest(), metadata=forged(site) * 2, timeout=60).operations


def test_x17_another_name_under_the_doors_prefix_is_refused(site: Site) -> None:
    with RawWorker.of(site) as raw, pytest.raises(grpc.RpcError) as error:
        raw.stub.Describe(pb.DescribeRequest(), metadata=[(f"{PREFIX}more", "x")], timeout=60)
    assert (error.value.details() or "").startswith("POLICY_DENIED")


def test_x17_stranger_with_the_header_of_a_submitter_remains_one(town: Neighbours) -> None:
    with town.raw(STRANGER) as raw, pytest.raises(grpc.RpcError) as error:
        raw.stub.Describe(pb.DescribeRequest(), metadata=forged(town.site), timeout=60)
    assert (error.value.details() or "").startswith("POLICY_DENIED")


@either
def test_the_trail_has_the_callers_address(town: Neighbours) -> None:
    """From the door, not from the caller's own header."""
    job = forge(town.site, signing_key=town.signing[FIRST])
    digest = hashlib.sha384(job.header).hexdigest()
    with town.raw(FIRST) as raw:
        messages = map(raw.admitter.admitted, job.messages(job.stream(people(2))))
        call = raw.stub.Run(messages, metadata=forged(town.site), timeout=30)
        assert [message for message in call if message.WhichOneof("message") == "done"]
    (admitted,) = [e for e in events(town.site) if isinstance(e, JobAdmitted) and e.header_sha384 == digest]
    assert re.fullmatch(r"ipv4:127\.0\.0\.1:\d+", admitted.source)


# ------------------------------------------------------------------ new files


def served_by(site: Site, target: str) -> int:
    """Serial number of the server's certificate there."""
    _, text = handshake(site, "-connect", target)
    (found,) = x509.load_pem_x509_certificates(
        re.findall(r"(?s)-----BEGIN.*?-----END CERTIFICATE-----", text)[0].encode()
    )
    return found.serial_number


def test_o02_a_new_server_certificate_needs_no_restart(town: Neighbours, tmp_path: Path) -> None:
    """SIGHUP. A pair that does not match changes nothing, and the door goes on with the old one."""
    with private_door(town) as (config, _), contextlib.ExitStack() as stack:
        site, target = town.site, f"127.0.0.1:{config.listen.port}"
        names = {"certificate": "server.pem", "private_key": "server.key"}
        copies = {key: shutil.copy(site.files.folder / name, tmp_path / name) for key, name in names.items()}
        own = msgspec.structs.replace(config, listen=msgspec.structs.replace(config.listen, **copies))
        door = stack.enter_context(Door(own, log=tmp_path / "log"))
        before = served_by(site, target)
        key, ca = ec.generate_private_key(ec.SECP256R1()), authority("CA", ec.generate_private_key(ec.SECP256R1()))
        new = leaf("worker", key, ca, hosts=["localhost"]).certificate
        (tmp_path / "server.pem").write_bytes(pem(new))
        with pytest.raises(DoorError):
            door.reload(own, seconds=2)
        assert served_by(site, target) == before
        (tmp_path / "server.key").write_bytes(private_pem(key))
        door.reload(own)
        _, text = handshake(site, "-connect", target, "-showcerts")
        assert "CN = CA" in text.replace("CN=CA", "CN = CA")


@either
def test_o02_a_running_job_outlives_a_reload_of_the_door(town: Neighbours) -> None:
    """worker_shutdown_timeout; a new connection is the new process's meanwhile."""
    job, door = forge(town.site, signing_key=town.signing[FIRST]), town.site.worker.door
    with town.raw(FIRST) as raw, raw.stream(timeout=60) as stream:
        assert stream.begin(job.open()).WhichOneof("message") == "accepted"
        before = door.pid
        door.reload(town.site.worker.config)
        assert door.pid != before
        other = forge(town.site, signing_key=town.signing[SECOND])
        with town.raw(SECOND) as second:
            assert second.run(other.messages(other.stream(people(2)))).receipt
        stream.send(*job.messages(job.stream(people(20_000)))[1:])
        stream.half_close()
        assert stream.answer().receipt


# ------------------------------------------------------------------ what passes


@either
def test_x17_two_streams_that_fill_every_window_end(town: Neighbours) -> None:
    """Large jobs both ways at once, each of more than all windows and buffers together."""
    table = people(150_000)

    def works(name: str) -> bool:
        job = forge(town.site, signing_key=town.signing[name])
        with town.raw(name) as raw:
            return raw.run(job.messages(job.stream(table)), timeout=100).receipt is not None

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(works, [FIRST, SECOND] * 2))


def test_r03_the_door_writes_no_body_to_a_file(town: Neighbours) -> None:
    """grpc_pass streams. A file that was made and removed would change the time of its folder."""
    door = town.site.worker.door
    folder = Path(private_folder(town.site.worker.config))
    places = [folder / name for name in ("body", "proxy", "fastcgi", "uwsgi", "scgi")]
    assert all(place.is_dir() for place in places)
    before = {place: place.stat().st_mtime_ns for place in (folder, *places)}
    job = forge(town.site, signing_key=town.signing[FIRST])
    seen: set[str] = set()
    with town.raw(FIRST) as raw, raw.stream(timeout=60) as stream:
        assert stream.begin(job.open()).WhichOneof("message") == "accepted"
        for message in job.messages(job.stream(people(60_000)))[1:]:
            stream.send(message)
            seen |= open_files(door.pid)
        stream.half_close()
        assert stream.answer().receipt
    assert {place: place.stat().st_mtime_ns for place in (folder, *places)} == before
    assert {path for path in seen if path.startswith(f"{folder}/")} <= {f"{folder}/pid"}


def open_files(pid: int) -> set[str]:
    found = set()
    for fd in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            found.add(os.readlink(fd))
    return found


def test_l01_the_log_has_nothing_of_callers(town: Neighbours) -> None:
    """Refused handshakes, calls of nothing and calls while the front is absent: no subject, no path, no metadata."""
    canary = "SMITH-JOHN-123456789"
    with private_door(town) as (config, folder):
        log = folder / "log"
        with Door(config, log=log):
            target = f"127.0.0.1:{config.listen.port}"
            handshake(town.site, "-connect", target, "-tls1_2")
            handshake(town.site, "-connect", target, "-servername", canary.lower())
            files = town.folder(FIRST)
            credentials = grpc.ssl_channel_credentials(
                *((files / name).read_bytes() for name in ("ca.pem", "client.key", "client.pem"))
            )
            with grpc.secure_channel(target, credentials) as channel:
                for path in (f"/{canary}/X", f"/cji.worker.v1.CjiWorker/{canary}", "/cji.worker.v1.CjiWorker/Describe"):
                    with pytest.raises(grpc.RpcError) as error:
                        channel.unary_unary(path, None, None)(
                            canary.encode(), metadata=(("x-note", canary),), timeout=10
                        )
                    assert error.value.code() in (grpc.StatusCode.UNIMPLEMENTED, grpc.StatusCode.UNAVAILABLE)
        text = log.read_text()
    assert "connect() to unix:" in text  # a fault of the front is there
    assert canary not in text
    assert "spiffe:" not in text
    assert "CERTIFICATE" not in text


# ------------------------------------------------------------------ around the door

CONNECT = """
import socket, sys
try:
    socket.socket(socket.AF_UNIX).connect(sys.argv[1])
except OSError as error:
    print(error.errno)
"""
READ = """
import sys
for path in sys.argv[1:]:
    try:
        open(path).read(1)
        print(path)
    except PermissionError:
        pass
"""


def test_x17_call_without_the_doors_word_is_refused(site: Site) -> None:
    """Whoever reaches the socket has still said nothing about a caller."""
    target = f"unix:{site.worker.config.listen.socket}"
    with grpc.insecure_channel(target) as channel, pytest.raises(grpc.RpcError) as error:
        CjiWorkerStub(channel).Describe(pb.DescribeRequest(), timeout=60)
    assert error.value.code() is grpc.StatusCode.PERMISSION_DENIED
    assert (error.value.details() or "").startswith("POLICY_DENIED")


@pytest.mark.root
@needs_root
@pytest.mark.parametrize("user", [1, DOOR_USER - 1])
def test_x17_another_user_does_not_reach_the_socket(site: Site, user: int) -> None:
    done = subprocess.run(
        ["/usr/bin/python3", "-c", CONNECT, site.worker.config.listen.socket],
        user=user,
        group=user,
        extra_groups=[],
        capture_output=True,
        check=True,
        text=True,
    )
    assert done.stdout.strip() == "13"


@pytest.mark.root
@needs_root
def test_x17_the_front_is_in_the_doors_group_alone(site: Site) -> None:
    lines = (Path("/proc") / str(site.worker.pids["front"]) / "status").read_text().splitlines()
    assert next(line.split()[1:] for line in lines if line.startswith("Groups:")) == [str(DOOR_USER)]
    found = Path(site.worker.config.listen.socket).stat()
    assert (found.st_mode & 0o777, found.st_gid) == (0o770, DOOR_USER)


@pytest.mark.root
@needs_root
@pytest.mark.parametrize("which", ["master", "worker"])
def test_x17_the_door_is_a_user_without_a_network(site: Site, which: str) -> None:
    door = site.worker.door
    process = Path(f"/proc/{door.process.pid if which == 'master' else door.pid}")
    lines = dict(line.split(":\t", 1) for line in (process / "status").read_text().splitlines() if ":\t" in line)
    assert lines["Uid"].split() == lines["Gid"].split() == [str(DOOR_USER)] * 4
    assert (lines["Groups"].strip(), lines["NoNewPrivs"], int(lines["CapPrm"], 16)) == ("", "1", 0)
    assert os.readlink(process / "ns/net") != os.readlink("/proc/self/ns/net")
    routes = (process / "net/route").read_text().splitlines()[1:]
    assert routes == []


@pytest.mark.root
@needs_root
def test_x17_the_door_reads_nothing_of_the_worker(site: Site) -> None:
    """Neither its keys nor its audit trail, and no process of it."""
    config, pid = site.worker.config, site.worker.pids["keyholder"]
    paths = [config.listen.private_key, config.audit_file, f"/proc/{pid}/maps", f"/proc/{pid}/environ"]
    done = subprocess.run(
        ["/usr/bin/python3", "-c", READ, *paths],
        user=DOOR_USER,
        group=DOOR_USER,
        extra_groups=[],
        capture_output=True,
        check=True,
        text=True,
    )
    assert done.stdout == ""


def test_receipts_name_the_strength_of_the_connection(town: Neighbours) -> None:
    job = forge(town.site, signing_key=town.signing[FIRST])
    with town.raw(FIRST) as raw:
        receipt = raw.run(job.messages(job.stream(people(2)))).receipt
    transport = claims_unverified(receipt or "").transport
    assert (transport.protocol, transport.cipher, transport.bits) == ("TLSv1.3", "TLS_AES_256_GCM_SHA384", 256)
