"""The control socket: for the worker's own user only, and no peer holds or grows anything."""

import contextlib
import json
import os
import resource
import select
import socket
import stat
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from cji_core.errors import StartupError
from cji_worker.control import door
from cji_worker.control.door import ANSWER_S, LINE_S, MAX_WAITING, PER_BEAT, Door

NOBODY = 65534
STATUS = b'{"state":"serving"}\n'


class Desk:
    """A door with a document, whose reloads are counted; time stands still."""

    def __init__(self, path: Path) -> None:
        self.path, self.now = path, 0.0
        self.reloads: list[int] = []
        self.busy = False
        self.document = STATUS
        self.door = Door(path, status=lambda: self.document, reload=self._reload)

    def _reload(self, uid: int) -> bytes | None:
        self.reloads.append(uid)
        return b"busy\n" if self.busy else None

    def connect(self, line: bytes = b"") -> socket.socket:
        peer = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        peer.settimeout(60)
        peer.connect(str(self.path))
        if line:
            peer.sendall(line)
        return peer

    def turn(self, times: int = 1) -> None:
        """What the process does when there is input."""
        for _ in range(times):
            for fd in self.door.descriptors():
                self.door.ready(fd, self.now)

    def beat(self, seconds: float) -> None:
        self.now += seconds
        self.door.beat(self.now)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    tmp_path.chmod(0o700)
    opened = Desk(tmp_path / "control.sock")
    yield opened
    opened.door.close()


def whole(peer: socket.socket) -> bytes:
    """All that is sent until the door hangs up."""
    found = b""
    while more := peer.recv(1 << 16):
        found += more
    return found


def test_status_is_answered_at_once(desk: Desk) -> None:
    with desk.connect(b"status\n") as peer:
        desk.turn()
        assert whole(peer) == STATUS
    assert stat.S_IMODE(desk.path.stat().st_mode) == 0o600


def test_a_line_may_come_after_the_connection(desk: Desk) -> None:
    with desk.connect() as peer:
        desk.turn()
        peer.sendall(b"status\n")
        desk.turn()
        assert whole(peer) == STATUS


def test_a_reload_is_answered_when_it_ends(desk: Desk) -> None:
    with desk.connect(b"reload\n") as one, desk.connect(b"status\n") as other:
        desk.turn(2)
        assert whole(other) == STATUS
        desk.beat(ANSWER_S - 1)
        desk.door.answer(b"done\n")
        assert whole(one) == b"done\n"
    assert desk.reloads == [os.geteuid()]


def test_a_reload_that_is_refused_is_answered_at_once(desk: Desk) -> None:
    desk.busy = True
    with desk.connect(b"reload\n") as peer:
        desk.turn()
        assert whole(peer) == b"busy\n"


def test_a_reload_without_an_end_is_hung_up_on(desk: Desk) -> None:
    with desk.connect(b"reload\n") as peer:
        desk.turn()
        desk.beat(ANSWER_S)
        assert whole(peer) == b""


@pytest.mark.parametrize(
    "line", [b"\n", b"status", b"STATUS\n", b"status\nreload\n", b"stop\n", b"x" * 4096, b"\0" * 7]
)
def test_any_other_line_is_hung_up_on(desk: Desk, line: bytes) -> None:
    with desk.connect(line) as peer:
        desk.turn()
        with contextlib.suppress(ConnectionResetError):  # it sent more than was read
            assert whole(peer) == b""
    assert desk.reloads == []
    assert not desk.door._waiting


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
@pytest.mark.root
def test_another_user_is_hung_up_on_before_it_is_heard(desk: Desk) -> None:
    """Even where the mode of the socket and its folder would let it in."""
    desk.path.chmod(0o666)
    desk.path.parent.chmod(0o755)
    read, write = os.pipe()
    ready = socket.socketpair()
    child = os.fork()
    if not child:
        folder = os.open(desk.path.parent, os.O_PATH)
        os.fchdir(folder)
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as peer:
            peer.connect(desk.path.name)
            peer.sendall(b"reload\n")
            ready[1].send(b"x")
            try:
                os.write(write, peer.recv(100) or b"nothing")
            except ConnectionResetError:
                os.write(write, b"nothing")
        os._exit(0)
    ready[0].settimeout(60)
    ready[0].recv(1)
    desk.turn()
    assert select.select([read], [], [], 5)[0], "it is waited for"
    assert os.read(read, 100) == b"nothing"
    assert (desk.reloads, desk.door._waiting) == ([], {})
    os.waitpid(child, 0)
    for each in (read, write):
        os.close(each)
    for end in ready:
        end.close()


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_silent_peers_hold_a_few_places_and_no_other_out(desk: Desk) -> None:
    before = descriptors()
    with ExitStack() as stack:
        for _ in range(3 * MAX_WAITING):
            stack.enter_context(desk.connect())
            desk.turn()
        assert len(desk.door._waiting) == MAX_WAITING
        with desk.connect(b"status\n") as peer:
            desk.turn()
            assert whole(peer) == STATUS
        desk.beat(LINE_S)
        assert not desk.door._waiting
    assert descriptors() == before


def test_a_crowd_of_silent_peers_pushes_no_reload_out(desk: Desk) -> None:
    with ExitStack() as stack:
        reload = stack.enter_context(desk.connect(b"reload\n"))
        desk.turn()
        for _ in range(2 * MAX_WAITING):
            stack.enter_context(desk.connect())
            desk.turn()
        desk.door.answer(b"done\n")
        assert whole(reload) == b"done\n"


def test_a_crowd_is_taken_in_portions(desk: Desk) -> None:
    """After so many connections in a beat the listener is not looked at: they cost nothing more."""
    for _ in range(PER_BEAT):
        with desk.connect(b"status\n"):
            desk.turn()
    with desk.connect(b"status\n") as peer:
        desk.turn(5)
        assert desk.door._listener.fileno() not in desk.door.descriptors()
        desk.beat(0.5)
        desk.turn()
        assert whole(peer) == STATUS


def test_a_peer_that_does_not_read_delays_nobody(desk: Desk) -> None:
    """The largest answer fits into the kernel's buffer: it is sent whole, and the connection is closed."""
    desk.document = json.dumps({"x": "y" * (64 << 10)}).encode()
    with ExitStack() as stack:
        peers = [stack.enter_context(desk.connect(b"status\n")) for _ in range(8)]
        desk.turn(8)
        assert not desk.door._waiting
        assert {whole(peer) for peer in peers} == {desk.document}


def test_no_descriptor_left_is_survived(desk: Desk) -> None:
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    with desk.connect(b"status\n") as peer:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (3, limits[1]))
            desk.turn()
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        desk.turn()
        assert whole(peer) == STATUS


# ------------------------------------------------------------------ the place of the socket


def opened(path: Path) -> Door:
    return Door(path, status=lambda: b"", reload=lambda _: None)


def test_the_socket_of_a_worker_that_ended_is_replaced(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    for _ in range(2):
        opened(tmp_path / "control.sock").close()


def test_a_socket_that_answers_is_not_taken(desk: Desk) -> None:
    with pytest.raises(StartupError, match="in use"):
        opened(desk.path)
    assert desk.path.is_socket()


def test_another_file_at_the_place_is_kept(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    (tmp_path / "control.sock").write_text("mine")
    with pytest.raises(StartupError, match="in use"):
        opened(tmp_path / "control.sock")
    assert (tmp_path / "control.sock").read_text() == "mine"


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o1777])
def test_a_folder_that_others_write_to_is_refused(tmp_path: Path, mode: int) -> None:
    tmp_path.chmod(mode)
    with pytest.raises(StartupError, match="written to by others"):
        opened(tmp_path / "control.sock")
    tmp_path.chmod(0o700)


def test_a_path_that_cannot_be_a_socket_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StartupError, match="107 bytes"):
        opened(tmp_path / ("x" * 108))
    with pytest.raises(StartupError, match="cannot be made"):
        opened(tmp_path / "absent" / "control.sock")
    assert door._PATH_BYTES == 107


# ------------------------------------------------------------------ the status socket


def test_the_status_socket_is_for_its_group_and_reloads_nothing(tmp_path: Path) -> None:
    tmp_path.chmod(0o2750)
    os.chown(tmp_path, -1, NOBODY if os.geteuid() == 0 else os.getegid())
    tmp_path.chmod(0o2750)
    shared = Door(tmp_path / "status.sock", status=lambda: STATUS)
    try:
        found = (tmp_path / "status.sock").stat()
        assert (stat.S_IMODE(found.st_mode), found.st_gid) == (0o660, tmp_path.stat().st_gid)
        for line, answer in ((b"status\n", STATUS), (b"reload\n", b""), (b"renew\n", b""), (b"stop\n", b"")):
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as peer:
                peer.settimeout(60)
                peer.connect(str(tmp_path / "status.sock"))
                peer.sendall(line)
                for fd in shared.descriptors():
                    shared.ready(fd, 0.0)
                assert whole(peer) == answer
    finally:
        shared.close()


def test_a_status_socket_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    with pytest.raises(StartupError, match="status_socket cannot be made"):
        Door(tmp_path / "absent" / "status.sock", status=lambda: STATUS)
