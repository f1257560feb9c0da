"""An agency's log with its witnesses, as real servers on loopback, and the machines whose trails it takes."""

import hashlib
import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec

from cji_audit.tlog.http_server import Answer, Request, Server
from cji_audit.tlog.log import AgencyLog
from cji_audit.tlog.log_http import LogHandler
from cji_audit.tlog.monitor import Monitor, MonitorReport
from cji_audit.tlog.store import LogStore
from cji_audit.tlog.witness import Witness, WitnessState
from cji_core.https import Client
from cji_core.jose import es384_sign, public_jwk
from cji_core.tlog.keys import LOG_TYPES, WITNESS_TYPES, NoteSigner, new_signers
from cji_core.tlog.leaves import (
    CheckpointLeaf,
    Decision,
    FirstLine,
    KeyBinding,
    LeafError,
    StatementLeaf,
    new_salt,
    sha384,
    sign_decision,
)
from cji_core.tlog.policy import Policy, PolicyFile, WitnessTable
from cji_core.tlog.slots import identity_of
from cji_core.tlog.submissions import MAX_SUBMISSION_BYTES
from cji_core.trail.delivery import load_delivery
from cji_core.trail.fields import TpmClock
from cji_core.trail.merkle import Frontier, consistency_proof, leaf_hash, node_hash
from cji_core.trail.witnesses.agency_log import LogWitness, first_line
from cji_core.trail.witnesses.configured import records_of
from cji_core.trail.witnesses.destination import LogDestination
from cji_core.trail.witnesses.keys import read_keys
from cji_core.trail.witnesses.settings import LogTable, log_table
from cji_core.trail.worker_events import TrailStarted
from tests.support.witness_trails import Trail, new_key

ORIGIN: Final = "log.pd.example/trails"
READER: Final = "r" * 40
SUBMITTER: Final = "s" * 40


@contextmanager
def serving(handle: Callable[[Request], Answer], **options: Any) -> Iterator[Server]:
    """A server in a thread, until the block ends."""
    server = Server(handle, host="127.0.0.1", port=options.pop("port", 0), max_body=MAX_SUBMISSION_BYTES, **options)
    thread = threading.Thread(target=server.serve)
    thread.start()
    try:
        yield server
    finally:
        server.stop()
        thread.join()


class Later:
    """A handler that is set after its server listens."""

    handle: Callable[[Request], Answer]

    def __call__(self, request: Request) -> Answer:
        return self.handle(request)


@dataclass(kw_only=True)
class WitnessHost:
    """One witness: its state, its keys, its server. `clock` is the time of its cosignatures."""

    name: str
    state: WitnessState
    signers: tuple[NoteSigner, ...]
    handler: Later
    server: Server
    logs: dict[str, Sequence[Any]]
    clock: Callable[[], float] = time.time

    def start(self) -> None:
        self.handler.handle = Witness(self.state, self.signers, self.logs, clock=self.clock)

    def table(self, *, agency: bool) -> WitnessTable:
        keys = tuple(each.key.vkey for each in self.signers)
        return WitnessTable(name=self.name, url=f"http://127.0.0.1:{self.server.port}", keys=keys, agency=agency)


@dataclass(kw_only=True)
class Machine:
    """A machine with an AK, and a trail that begins as every trail does."""

    folder: Path
    ak: str = "a" * 64
    resets: int = 1
    nonce: str = "07" * 32
    trail: Trail = field(init=False)

    def __post_init__(self) -> None:
        self.trail = Trail(path=self.folder / "audit.log")
        self.trail.append(TrailStarted(nonce=self.nonce))

    @property
    def identity(self) -> str:
        return identity_of(self.trail.lines[0])

    def restarted(self, key: ec.EllipticCurvePrivateKey | None = None) -> None:
        """A new boot: another receipt key, a newer quote."""
        self.resets += 1
        self.trail.key = key or new_key()

    def binding(self, **changes: Any) -> KeyBinding:
        found = KeyBinding(
            receipt_jwk=public_jwk(self.trail.key.public_key()),
            ak_sha256=self.ak,
            clock=TpmClock(clock=5, reset_count=self.resets, restart_count=0),
            evidence_sha384=sha384(b"evidence"),
            simulated=True,
        )
        return msgspec.structs.replace(found, **changes)

    def note(self) -> str:
        return self.trail.checkpoint().decode()

    def first(self, size: int) -> FirstLine:
        return first_line(self.trail.lines, size)

    def proof(self, old: int, size: int) -> tuple[str, ...]:
        return tuple(each.hex() for each in consistency_proof(old, size, subtree_of(self.trail.lines)))

    def leaf(self, previous: int = 0, *, key: bool | None = None, first: bool | None = None) -> CheckpointLeaf:
        """An entry for all lines so far, which continues one of `previous` lines."""
        size, note = len(self.trail.lines), self.note()
        new = key if key is not None else previous == 0
        return CheckpointLeaf(
            salt=new_salt(),
            trail=self.identity,
            previous=previous,
            consistency=self.proof(previous, size) if previous else (),
            note=note,
            key=self.binding() if new else None,
            first=self.first(size) if (first if first is not None else previous == 0) else None,
        )


def signed(decision: Decision, key: ec.EllipticCurvePrivateKey) -> StatementLeaf:
    """A statement, by a key in memory."""
    return sign_decision(decision, partial(es384_sign, key))


def subtree_of(lines: Sequence[bytes]) -> Callable[[int, int], bytes]:
    """The slow way to a complete subtree."""

    def subtree(start: int, level: int) -> bytes:
        if level == 0:
            return leaf_hash(lines[start])
        half = 1 << (level - 1)
        return node_hash(subtree(start, level - 1), subtree(start + half, level - 1))

    return subtree


def root_of_lines(lines: Sequence[bytes]) -> bytes:
    tree = Frontier()
    for line in lines:
        tree.append(leaf_hash(line))
    return tree.root()


@dataclass(kw_only=True)
class Site:
    """The log and its witnesses; the first of them is the agency's own."""

    folder: Path
    witnesses: list[WitnessHost]
    policy: Policy
    signers: tuple[NoteSigner, ...]
    operator: ec.EllipticCurvePrivateKey
    handler: Later
    server: Server
    stack: ExitStack
    clock: Callable[[], float] = time.time
    attested: dict[bytes, KeyBinding] = field(default_factory=dict)
    log: AgencyLog = field(init=False)

    def appraise(self, file: bytes) -> KeyBinding:
        if file not in self.attested:
            raise LeafError("evidence", "not attested")
        return self.attested[file]

    def start(self, *, store: str = "log.db", signers: Sequence[NoteSigner] | None = None) -> AgencyLog:
        """Open the log's store and serve it."""
        opened = LogStore(self.folder / store, origin=ORIGIN)
        self.stack.callback(opened.close)
        log = AgencyLog(
            opened,
            self.policy,
            signers or self.signers,
            appraise=self.appraise,
            client=Client(None, plain=True),
            clock=self.clock,
        )
        self.log = log
        self.handler.handle = LogHandler(log, reader=READER, submitter=SUBMITTER)
        return log

    def monitor(self, name: str = "monitor.db", *, token: str | None = READER, **options: Any) -> MonitorReport:
        """One run of a monitor with a file of this name."""
        store = LogStore(self.folder / name, origin=ORIGIN)
        try:
            given: dict[str, Any] = {"clock": self.clock, **options}
            return Monitor(store, self.policy, Client(None, plain=True), token=token, **given).run()
        finally:
            store.close()


@contextmanager
def site(
    folder: Path,
    *,
    count: int = 4,
    quorum: int = 3,
    faulty: int = 1,
    clock: Callable[[], float] = time.time,
    publishers: tuple[str, ...] | msgspec.UnsetType = msgspec.UNSET,
) -> Iterator[Site]:
    """A log with `count` witnesses, whose time is the clock's; with `publishers` one of releases."""
    with ExitStack() as stack:
        signers, operator, hosts = new_signers(ORIGIN, LOG_TYPES), new_key(), []
        for number in range(count):
            handler, state = Later(), WitnessState(folder / f"witness-{number}.db")
            stack.callback(state.close)
            server = stack.enter_context(serving(handler))
            own = new_signers(f"w{number}.example", WITNESS_TYPES)
            logs = {ORIGIN: [each.key for each in signers]}
            host = WitnessHost(
                name=f"w{number}",
                state=state,
                signers=own,
                handler=handler,
                server=server,
                logs=dict(logs),
                clock=clock,
            )
            host.start()
            hosts.append(host)
        later = Later()
        server = stack.enter_context(serving(later))
        file = PolicyFile(
            origin=ORIGIN,
            url=f"http://127.0.0.1:{server.port}/trails",
            keys=tuple(each.key.vkey for each in signers),
            operators=(public_jwk(operator.public_key()),),
            quorum=quorum,
            faulty=faulty,
            publishers=publishers,
            witnesses=tuple(each.table(agency=number == 0) for number, each in enumerate(hosts)),
        )
        found = Site(
            folder=folder,
            witnesses=hosts,
            policy=Policy(file),
            signers=signers,
            operator=operator,
            handler=later,
            server=server,
            stack=stack,
            clock=clock,
        )
        found.start()
        yield found


def a_policy(*, url: str, witness: str = "https://witness.example") -> Policy:
    """A policy whose three witnesses are at one address."""
    witnesses = tuple(
        WitnessTable(
            name=f"w{number}",
            url=witness,
            keys=tuple(each.key.vkey for each in new_signers(f"w{number}.example", WITNESS_TYPES)),
            agency=number == 0,
        )
        for number in range(3)
    )
    file = PolicyFile(
        origin=ORIGIN,
        url=url,
        keys=tuple(each.key.vkey for each in new_signers(ORIGIN, LOG_TYPES)),
        operators=(public_jwk(new_key().public_key()),),
        witnesses=witnesses,
    )
    return Policy(file)


def write_policy(path: Path, policy: Policy) -> None:
    """The policy in a file."""
    path.write_bytes(policy_toml(policy))


def policy_toml(policy: Policy) -> bytes:
    """The policy as its file."""
    file = msgspec.to_builtins(policy.file)
    witnesses = file.pop("witnesses")
    lines = [f"{name} = {json.dumps(value)}" for name, value in file.items()]
    for each in witnesses:
        lines += ["[[witnesses]]", *(f"{name} = {json.dumps(value)}" for name, value in each.items())]
    return "\n".join(lines).encode()


class Delivery:
    """A deliverer of one trail to the log of a site: `audit.toml`, the state, and evidence of each start."""

    def __init__(self, agency: Site, folder: Path, trail: Path) -> None:
        self.agency, self.folder, self.trail = agency, folder, trail
        self.state, self.keys, self.config = folder / "state", folder / "keys", folder / "audit.toml"
        for each in (folder, self.state, self.keys):
            each.mkdir(exist_ok=True)
        (folder / "token").write_text(SUBMITTER + "\n")
        write_policy(folder / "policy.toml", agency.policy)
        self.config.write_text(
            f'trail = "{trail.name if trail.parent == folder else trail}"\nstate = "state"\nreceipt_keys = "keys"\n'
            '[log]\npolicy = "policy.toml"\ntoken_file = "token"\nca_file = "policy.toml"\n'
        )
        self.clock = [0.0]

    @property
    def records(self) -> Path:
        return records_of(self.state)

    def attest(self, *keys: ec.EllipticCurvePrivateKey, ak: str = "a" * 64) -> None:
        """Evidence of starts with these receipt keys, one after another, which the log accepts."""
        for key in keys:
            number = len(list(self.keys.iterdir()))
            jwk = public_jwk(key.public_key())
            file = json.dumps({"version": 5, "receipt_jwk": jwk}).encode()
            (self.keys / f"{number:03}.json").write_bytes(file)
            self.agency.attested[file] = KeyBinding(
                receipt_jwk=jwk,
                ak_sha256=ak,
                clock=TpmClock(clock=5, reset_count=1 + number, restart_count=0),
                evidence_sha384=sha384(file),
                simulated=True,
            )

    def table(self) -> LogTable:
        found = log_table(load_delivery(self.config), folder=self.folder)
        assert found is not None
        return found

    def destination(self) -> LogDestination:
        """The destination of a deliverer that has just started."""
        return LogDestination(
            LogWitness(self.table(), trail=self.trail, evidence=self.keys, clock=self.agency.clock),
            trail=self.trail,
            records=self.records,
            keys=partial(read_keys, self.keys),
            interval=60,
            state=self.state,
            monotonic=lambda: self.clock[0],
        )

    def advance(self, destination: LogDestination | None = None) -> int:
        """Deliver what is new, a minute later."""
        self.clock[0] += 60
        return (destination or self.destination()).advance().seq


def origin_hash() -> str:
    return hashlib.sha256(ORIGIN.encode()).hexdigest()
