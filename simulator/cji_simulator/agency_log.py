"""An agency's log with two witnesses and the delivery of the worker's trail, as the processes that operators start.

| folder | whose |
|---|---|
| agency/ | the agency's log: log.toml, its keys and tokens, and the key with which its operator decides |
| agency/witness/ | the agency's own witness |
| sheriff/ | the witness of a second agency |
| machine/ | the worker's machine: audit.toml, receipt-keys/ with the evidence of each start, state/ |
| policy.toml | what the agency publishes: every reader pins it |

`fork` is the attack of an agency that controls its log and its own witness: another history of as many entries.
"""

import base64
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec

from cji_client.errors import ClientError
from cji_client.profile import load_profile
from cji_client.transport import SyncClient
from cji_core.command.common import plural
from cji_core.errors import StartupError
from cji_core.https import Client, ExchangeError
from cji_core.jose import public_jwk
from cji_core.tlog.keys import LOG_TYPES, WITNESS_TYPES, SeedSigner, new_signers, read_signers, write_signers
from cji_core.tlog.policy import Policy, PolicyError, Witness, load_policy
from cji_core.tlog.requests import encode_body
from cji_core.tlog.tiles import split_hashes, tiles_of
from cji_core.trail.checkpoint import Checkpoint, CheckpointError, NoteSignature, parse_cosigned, parse_signatures
from cji_core.trail.merkle import Frontier, leaf_hash
from cji_simulator.certificates import private_pem, write_private
from cji_simulator.errors import SimulatorError
from cji_simulator.ports import free_port
from cji_simulator.programs import ProgramDied, printed, program
from cji_simulator.roots import HOST
from cji_simulator.simulation import Simulation

__all__ = ["AgencyLog", "Answered", "LogError", "agency_log", "fork"]

ORIGIN: Final = "log.pd.example/trails"
_OWN: Final = "pd"
_OTHER: Final = "sheriff"
_LISTENING: Final = re.compile("(listening on)")
_CJI: Final = (sys.executable, "-m", "cji_core.command")
_LOOK_S: Final = 0.2
_FIRST_S: Final = 60.0
_RECORDS: Final = "machine/state/log/*.json"


class LogError(SimulatorError):
    """The log of a simulation cannot be started, or is not there."""

    code = "log-failed"
    remedy = "Start it: `cji-simulator log up`."


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """A witness's answer to a checkpoint. `said` is for people."""

    name: str
    said: str
    cosigned: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class AgencyLog:
    """A log that runs: its folder, and its programs by name."""

    folder: Path
    running: dict[str, "subprocess.Popen[bytes]"]

    def require_running(self) -> None:
        """Raise ProgramDied if a program has ended."""
        for name, process in self.running.items():
            if process.poll() is not None:
                raise ProgramDied(f"{name} ended; its reasons are in {self.folder / name}.log")


@contextmanager
def agency_log(state: Path, simulation: Simulation, *, until: Callable[[], bool]) -> Iterator[AgencyLog]:
    """Start everything for the worker in `state`, until the block ends, which begins after the first delivery.

    Raises LogError if there is no delivery in time, or once `until` returns True, ProgramDied or SimulationError.
    """
    folder = state / "log"
    shutil.rmtree(folder, ignore_errors=True)
    ports = [free_port() for _ in range(3)]
    _write(folder, state / "worker", ports)
    with ExitStack() as stack:
        running = {
            name: _server(stack, folder, name, [*_CJI, "witness", "serve", "--config", str(folder / at)])
            for name, at in ((_OWN, "agency/witness/witness.toml"), (_OTHER, "sheriff/witness.toml"))
        }
        # the log appraises evidence: under the simulation's roots
        ours = [sys.executable, "-P", "-c", "from cji_simulator.cli import main; main()", "cji", "--state", str(state)]
        running["log"] = _server(
            stack, folder, "log", [*ours, "log", "serve", "--config", str(folder / "agency/log.toml")]
        )
        add_evidence(state)
        deliver = [*_CJI, "audit", "deliver", "--config", str(folder / "machine/audit.toml")]
        running["deliverer"] = program(stack, deliver, folder / "deliverer.log")
        found = AgencyLog(folder=folder, running=running)
        _until_delivered(found, until)
        yield found


def add_evidence(state: Path) -> None:
    """Keep the evidence of the worker's start, which a worker of the image leaves itself; raises LogError."""
    profile, folder = load_profile(state / "worker/client/client.toml"), state / "log/machine/receipt-keys"
    try:
        with SyncClient(
            profile.target,
            tls=profile.tls(),
            trust=Simulation.running(state).trust,
            reference=profile.reference,
            maa_url=profile.maa_url,
        ) as client:
            file = client.attest().to_file()
    except ClientError as error:
        raise LogError(f"the worker gives no evidence: {error}", remedy="Look at its log.") from error
    (folder / f"start-{len(list(folder.iterdir())) + 1:03}.json").write_bytes(file)


def fork(folder: Path) -> Iterator[Answered]:
    """Sign another history of as many entries with the agency's keys, and ask the others' witnesses to cosign it.

    The last answer is that of a reader who pins policy.toml. Raises LogError.
    """
    if not (folder / "policy.toml").is_file():
        raise LogError(f"there is no log in {folder}")
    client = Client(None, plain=True)
    try:
        policy = load_policy(folder / "policy.toml")
        real = _cosigned(client, next(each for each in policy.witnesses if not each.agency))
        forked = _signed(_rewritten(client, policy, real), read_signers(folder / "agency/log.key", kinds=LOG_TYPES))
        note = _signed(forked, read_signers(folder / "agency/witness/witness.key", kinds=WITNESS_TYPES))
        (folder / "fork.checkpoint").write_bytes(note.encode())
        for each in policy.witnesses:
            if each.agency:
                yield Answered(name=each.name, said="cosigned it: the agency has its key", cosigned=True)
                continue
            answer, signatures = _asked(client, each, forked)
            note = replace(note, signatures=(*note.signatures, *signatures))
            yield answer
        try:
            policy.accept(note, now=int(time.time()))
        except PolicyError as error:
            yield Answered(name="a reader", said=f"refuses it: {error}", cosigned=False)
        else:
            yield Answered(name="a reader", said="takes it", cosigned=True)
    except (CheckpointError, ExchangeError, StartupError, OSError) as error:
        raise LogError(f"the log in {folder} was not forked: {error}") from error


def _asked(client: Client, witness: Witness, note: Checkpoint) -> tuple[Answered, Sequence[NoteSignature]]:
    url = f"{witness.url}/add-checkpoint"
    answer = client.exchange("POST", url, body=encode_body(note.size, (), note.encode()))
    if answer.status == 200:
        return Answered(name=witness.name, said="cosigned it", cosigned=True), parse_signatures(answer.body)
    had = _cosigned(client, witness)
    count = plural(had.size, "entry", "entries")
    said = f"refuses it, HTTP {answer.status}: it cosigned {count} with the root {had.root.hex()}"
    return Answered(name=witness.name, said=said, cosigned=False), ()


def _cosigned(client: Client, witness: Witness) -> Checkpoint:
    """The checkpoint that a witness cosigned last."""
    return parse_cosigned(_get(client, f"{witness.url}/{sha256(ORIGIN.encode()).hexdigest()}/checkpoint"))


def _rewritten(client: Client, policy: Policy, real: Checkpoint) -> Checkpoint:
    """A checkpoint of as many entries, of which the last is another one."""
    leaves = [
        leaf
        for tile in tiles_of(real.size)
        if tile.level == 0
        for leaf in split_hashes(_get(client, f"{policy.file.url}/{tile.path}"), width=tile.width)
    ]
    tree = Frontier()
    for leaf in (*leaves[:-1], leaf_hash(os.urandom(32))):
        tree.append(leaf)
    text = f"{real.origin}\n{real.size}\n{base64.b64encode(tree.root()).decode()}\n".encode()
    return Checkpoint(origin=real.origin, size=real.size, root=tree.root(), text=text, signatures=())


def _signed(note: Checkpoint, signers: Sequence[SeedSigner]) -> Checkpoint:
    now = int(time.time())
    return replace(note, signatures=(*note.signatures, *(each.sign(note, at=now) for each in signers)))


def _get(client: Client, url: str) -> bytes:
    answer = client.exchange("GET", url)
    if answer.status != 200:
        raise LogError(f"{url}: HTTP {answer.status}", "Wait until the trail was delivered.")
    return answer.body


def _server(stack: ExitStack, folder: Path, name: str, command: Sequence[str]) -> "subprocess.Popen[bytes]":
    log = folder / f"{name}.log"
    process = program(stack, command, log, environment={"PYTHONUNBUFFERED": "1"})
    printed(process, log, _LISTENING)
    return process


def _until_delivered(found: AgencyLog, until: Callable[[], bool]) -> None:
    end = time.monotonic() + _FIRST_S
    while not list(found.folder.glob(_RECORDS)):
        found.require_running()
        if until() or time.monotonic() > end:
            raise LogError("the trail was not delivered", f"Read {found.folder / 'deliverer.log'}.")
        time.sleep(_LOOK_S)


def _write(folder: Path, worker: Path, ports: Sequence[int]) -> None:
    """All files of agency, second agency and machine; relative paths in them are relative to their folders."""
    for name in ("agency/witness", "sheriff", "machine/receipt-keys", "machine/state"):
        (folder / name).mkdir(mode=0o700, parents=True)
    log, own, other = ports
    operator = ec.generate_private_key(ec.SECP384R1())
    write_private(folder / "agency/operator.key", private_pem(operator))
    for name in ("reader", "submitter"):
        write_private(folder / f"agency/{name}.token", f"{os.urandom(32).hex()}\n".encode())
    shutil.copy(folder / "agency/submitter.token", folder / "machine")
    keys = _keys(folder / "agency/log.key", ORIGIN, LOG_TYPES)
    tables = [
        _witness(folder / "agency/witness", f"witness.{_OWN}.example/w1", own, keys, name=_OWN, agency=True),
        _witness(folder / "sheriff", f"witness.{_OTHER}.example/w1", other, keys, name=_OTHER, agency=False),
    ]
    (folder / "policy.toml").write_text(
        f'origin = {json.dumps(ORIGIN)}\nurl = "http://{HOST}:{log}/trails"\nkeys = {json.dumps(keys)}\n'
        f"operators = [{json.dumps(public_jwk(operator.public_key()))}]\nquorum = 2\nfaulty = 1\n\n" + "\n".join(tables)
    )
    (folder / "agency/log.toml").write_text(
        f'policy = "../policy.toml"\nkey_file = "log.key"\nstate = "log.db"\nport = {log}\n'
        'reader_token_file = "reader.token"\nsubmitter_token_file = "submitter.token"\n'
        f"profile = {json.dumps(str((worker / 'client/client.toml').resolve()))}\n"
    )
    (folder / "machine/audit.toml").write_text(
        f"trail = {json.dumps(str((worker / 'state/audit.jsonl').resolve()))}\n"
        'state = "state"\nreceipt_keys = "receipt-keys"\n\n'
        '[log]\npolicy = "../policy.toml"\ntoken_file = "submitter.token"\ninterval_seconds = 60\n'
    )


def _witness(folder: Path, key_name: str, port: int, log: Sequence[str], *, name: str, agency: bool) -> str:
    """The files of a witness; its table in the policy."""
    keys = _keys(folder / "witness.key", key_name, WITNESS_TYPES)
    (folder / "witness.toml").write_text(
        f'key_file = "witness.key"\nstate = "state.db"\nport = {port}\n\n'
        f"[[logs]]\norigin = {json.dumps(ORIGIN)}\nkeys = {json.dumps(log)}\n"
    )
    return (
        f'[[witnesses]]\nname = "{name}"\nurl = "http://{HOST}:{port}"\nkeys = {json.dumps(keys)}\n'
        f"agency = {json.dumps(agency)}\n"
    )


def _keys(path: Path, name: str, kinds: Sequence[int]) -> list[str]:
    """New private keys in a file; their vkeys."""
    signers = new_signers(name, kinds)
    write_signers(path, signers)
    return [each.key.vkey for each in signers]
