"""A door whose connections the kernel counts, in a network of its own; prints what callers met.

Callers are in another network, at the end of a virtual cable: on the loopback a packet counts before it has arrived.

`unshare --net python -m tests.support.firewalled`, as root. The parent compares.
"""

import json
import os
import socket
import ssl
import subprocess
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from ipaddress import ip_address
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec

from cji_core.command.findings import NotOk
from cji_core.format.configuration.worker import Config, load
from cji_simulator.certificates import authority, leaf, pem, private_pem
from cji_simulator.door import Door
from cji_worker.door.firewall import install, require_installed
from cji_worker.libc import check, libc
from tests.support.worker_configs import WORKER_CONFIG

SHARE = 8
PORT, OTHER_PORT = 8443, 8444
ONE, OTHER = "10.77.0.2", "10.77.0.3"
NETWORK, NEIGHBOUR = ("2001:db8:0:1::1", "2001:db8:0:1::2"), "2001:db8:0:2::1"
_DOORS = {4: "10.77.0.1", 6: "2001:db8:0:f::1"}
_WAIT_S = 0.3
"""A first packet that gets no answer within this time was dropped: nothing here is farther away than a cable."""


def worker(folder: Path) -> Config:
    """A configuration whose TLS files exist, with a socket in a folder of its own."""
    ca, key = authority("CA", ec.generate_private_key(ec.SECP256R1())), ec.generate_private_key(ec.SECP256R1())
    (folder / "server.pem").write_bytes(pem(leaf("worker", key, ca, hosts=["localhost"]).certificate))
    (folder / "server.key").write_bytes(private_pem(key))
    (folder / "roots.pem").write_bytes(pem(ca.certificate))
    caller = leaf("caller", key, ca, uris=[f"spiffe://cji.example/{SHARE}"])
    (folder / "caller.pem").write_bytes(pem(caller.certificate) + private_pem(key))
    (folder / "worker.toml").write_text(WORKER_CONFIG)
    config = load(folder / "worker.toml")
    listen = msgspec.structs.replace(config.listen, host="::", port=PORT, socket=str(folder / "door" / "front.sock"))
    limits = msgspec.structs.replace(config.limits, connections_per_address=SHARE, connections_counted_by="firewall")
    return msgspec.structs.replace(config, listen=listen, limits=limits)


def connect(source: str, port: int = PORT) -> socket.socket | None:
    """A connection of this address; None if its first packet gets no answer. Of a thread in the callers' network."""
    version = ip_address(source).version
    found = socket.socket(socket.AF_INET6 if version == 6 else socket.AF_INET)
    found.settimeout(_WAIT_S)
    try:
        found.bind((source, 0))
        found.connect((_DOORS[version], port))
    except TimeoutError:
        found.close()
        return None
    return found


def accepted(source: str, count: int, stack: ExitStack, port: int = PORT) -> list[socket.socket]:
    """Those of this many connections that were answered."""
    found = [each for _ in range(count) if (each := connect(source, port)) is not None]
    for each in found:
        stack.callback(each.close)
    return found


def refused(config: Config) -> str:
    """What a check of the rules finds wrong."""
    try:
        require_installed(config)
    except NotOk as error:
        return error.found
    return ""


def dripped(connections: list[socket.socket]) -> Iterator[int]:
    """Send one byte of a first message of TLS on each, again and again; how many the door has not ended."""
    outgoing = ssl.MemoryBIO()
    tls = ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="localhost")
    with suppress(ssl.SSLWantReadError):
        tls.do_handshake()
    open_still = list(connections)
    for byte in outgoing.read():
        yield len(open_still)
        time.sleep(0.25)
        for each in list(open_still):
            each.setblocking(False)
            try:
                each.send(bytes([byte]))
                ended = not each.recv(1)
            except BlockingIOError:
                continue
            except ConnectionError:
                ended = True
            if ended:
                open_still.remove(each)


def greeted(source: str, context: ssl.SSLContext) -> bool:
    """Whether a caller of this address, with a certificate, gets through its handshake and hears HTTP/2."""
    if (plain := connect(source)) is None:
        return False
    plain.settimeout(10)
    with plain, context.wrap_socket(plain, server_hostname="localhost") as connection:
        return connection.version() == "TLSv1.3" and connection.recv(9)[3:4] == b"\4"  # a frame of SETTINGS


def slow(context: ssl.SSLContext) -> dict[str, object]:
    """An address whose connections send handshakes byte by byte, and another one meanwhile."""
    found: dict[str, object] = {}
    with ExitStack() as stack:
        mine = accepted(ONE, SHARE + 4, stack)
        left, began = dripped(mine), time.monotonic()
        found["slow"] = next(left)
        found["beside slow"], found["one more"] = greeted(OTHER, context), connect(ONE) is not None
        while next(left, 0):
            pass
        found["seconds of slow"] = time.monotonic() - began
    found["after slow"] = greeted(ONE, context)
    return found


def seen(context: ssl.SSLContext) -> dict[str, object]:
    """How many of SHARE and four more connections each address has, one after the other."""
    found: dict[str, object] = {}
    with ExitStack() as stack:
        first = accepted(ONE, SHARE + 4, stack)
        found["one address"], found["another"] = len(first), len(accepted(OTHER, 2, stack))
        found["a network"] = sum(len(accepted(each, SHARE, stack)) for each in NETWORK)
        found["another network"] = len(accepted(NEIGHBOUR, 2, stack))
        found["another port"] = len(accepted(ONE, SHARE + 4, stack, OTHER_PORT))
        first[0].close()
        until = time.monotonic() + 10
        while (again := connect(ONE)) is None and time.monotonic() < until:
            pass
        found["after one ended"] = again is not None
        if again is not None:
            again.close()
    return found | slow(context)


def checked(config: Config) -> dict[str, object]:
    """What the check says of these rules, of others, and of none."""
    found: dict[str, object] = {"right": require_installed(config)}
    os.seteuid(65534)
    found["without the right to read"] = refused(config)
    os.seteuid(0)
    other = msgspec.structs.replace(config.limits, connections_per_address=SHARE + 1)
    found["another share"] = refused(msgspec.structs.replace(config, limits=other))
    subprocess.run(["nft", "insert", "rule", "inet", "cji_door", "counted", "accept"], check=True)
    found["another rule"] = refused(config)
    install(config)
    found["repaired"] = refused(config)
    install(msgspec.structs.replace(config, limits=msgspec.structs.replace(other, connections_counted_by="door")))
    found["removed"] = refused(config)
    return found


def network(stack: ExitStack) -> int:
    """Connect this network with one of callers; returns a descriptor of that one."""
    callers = stack.enter_context(subprocess.Popen(["unshare", "--net", "sleep", "60"]))
    stack.callback(callers.kill)
    own, there = os.stat("/proc/self/ns/net").st_ino, Path(f"/proc/{callers.pid}/ns/net")
    while there.stat().st_ino == own:
        time.sleep(0.01)
    inside = ["nsenter", "--target", str(callers.pid), "--net"]
    for command in (
        "ip link set lo up",
        f"ip link add here type veth peer name there netns {callers.pid}",
        *(f"ip address add {each} dev here" for each in (f"{_DOORS[4]}/24", f"{_DOORS[6]}/48 nodad")),
        "ip link set here up",
    ):
        subprocess.run(command.split(), check=True)
    addresses = (f"{ONE}/24", f"{OTHER}/24", *(f"{each}/48 nodad" for each in (*NETWORK, NEIGHBOUR)))
    for command in (*(f"ip address add {each} dev there" for each in addresses), "ip link set there up"):
        subprocess.run([*inside, *command.split()], check=True)
    return stack.enter_context(there.open("rb")).fileno()


def main(folder: Path) -> None:
    """Set the networks up, run the door, print."""
    config = worker(folder)
    folder.chmod(0o755)  # the door's user goes through
    context = ssl.create_default_context(cafile=folder / "roots.pem")
    context.load_cert_chain(folder / "caller.pem")
    context.set_alpn_protocols(["h2"])
    with suppress(NotOk):
        require_installed(config)
        raise AssertionError("a rule that nobody made")
    with ExitStack() as stack:
        there = network(stack)
        install(config)
        stack.enter_context(Door(config, log=folder / "log"))
        stack.enter_context(socket.create_server((_DOORS[4], OTHER_PORT), backlog=64))
        with ThreadPoolExecutor(1, initializer=lambda: check(libc.setns(there, 0))) as pool:
            found = pool.submit(seen, context).result()
        print(json.dumps(found | checked(config)))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="cji-") as private:
        main(Path(private))
