"""`cji log`: the agency's log of its trails' checkpoints, its operator's statements, and its monitor."""

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Annotated, Final, ParamSpec, TypeVar

import click
import msgspec

from cji_attestation.verbs.reference_values import reference_values
from cji_attestation.verbs.trusts import trusts_of
from cji_audit.errors import AuditError
from cji_audit.verbs.note_keys import EXISTING, KEY_FILE, OUT, PKCS11, NoteKeys, make_keys, show_keys
from cji_core.command.common import FILE, Failure, explained, plural, signing_key
from cji_core.command.json_output import answers, member, print_answer, print_document
from cji_core.https import Client
from cji_core.jose import es384_sign
from cji_core.tlog.calls import LogUnreachableError, call, log_client, state
from cji_core.tlog.changes import read_change
from cji_core.tlog.keys import LOG_TYPES
from cji_core.tlog.leaves import (
    Decision,
    LeafError,
    PolicyDecision,
    TrailDecision,
    sign_decision,
)
from cji_core.tlog.policy import Policy, encode_policy, load_policy
from cji_core.tlog.proofs import parse_proof
from cji_core.tlog.submissions import Added, Newest, read_message, read_token
from cji_core.trail.checkpoint import CheckpointError, parse_checkpoint
from cji_core.trail.fields import utc_hundredths

_IDENTITY: Final = "Give its identity in hexadecimal, as `cji log monitor` and the receipts of its worker name it."
_NEW: Final = click.Path(dir_okay=False, path_type=Path)
_POLICY: Final = click.option(
    "--policy", "policy_file", type=FILE, required=True, help="The log's policy, pinned by you."
)
_CA: Final = click.option("--ca-file", type=FILE, help="TLS roots, PEM. Default: the system's.")
_TOKEN: Final = click.option("--token-file", type=FILE, required=True, help="The file with the reader's token.")
_KEY: Final = click.option("--key", "key_file", type=FILE, required=True, help="Your P-384 key, `operators` has it.")
_OPERATOR: Final = click.option("--operator", required=True, help="Your name.")
_EXPLANATION: Final = click.option("--explanation", required=True, help="Why; the log keeps it.")
P = ParamSpec("P")
T = TypeVar("T")
_READ: Final = "Keep the monitor's file and the log's, and ask the log's operator and the witnesses named."


class LogFinding(msgspec.Struct, frozen=True, kw_only=True):
    """A finding of `cji log monitor`."""

    kind: Annotated[str, member("its kind, docs/witnesses.md")]
    text: Annotated[str, member("what was found")]
    index: Annotated[int | None, member("the entry of the log, or null")]
    trail: Annotated[str | None, member("identity of the trail, or null")]


class Monitored(msgspec.Struct, frozen=True, kw_only=True):
    """`cji log monitor`: what was read and found."""

    size: Annotated[int, member("leaves that were read")]
    with_entries: Annotated[bool, member("whether entries were read, or hashes alone")]
    cosigned: Annotated[dict[str, int], member("times of the witnesses' cosignatures, by name, POSIX seconds")]
    exported: Annotated[int, member("tiles that were written")]
    findings: Annotated[tuple[LogFinding, ...], member("objects of the kind LogFinding")]


class Stated(msgspec.Struct, frozen=True, kw_only=True):
    """`cji log decide` and `change-policy`: a statement that is in the log."""

    index: Annotated[int, member("the entry of the log")]
    file: Annotated[str | None, member("the file with the statement and its proof, or null")]


class PolicyAccepted(msgspec.Struct, frozen=True, kw_only=True):
    """`cji log accept`: a policy that follows the pinned one."""

    digest: Annotated[str, member("SHA-384 of the policy in its one form, hexadecimal")]
    operator: Annotated[str, member("who stated it")]
    time: Annotated[str, member("when")]
    explanation: Annotated[str, member("why")]
    index: Annotated[int, member("the entry of the log")]


def log_faults(command: Callable[P, T]) -> Callable[P, T]:
    """Turn errors of stores, states, policies and monitors into a `Failure`."""

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return command(*args, **kwargs)
        except (AuditError, CheckpointError) as error:
            raise Failure(str(error), remedy=error.remedy, status=getattr(error, "status", 2)) from error
        except OSError as error:
            what = f"{error.filename or 'a file'} cannot be used: {error.strerror or error}"
            raise Failure(what, remedy="Name another one, or give yourself the right to it.", status=2) from error

    return run


@click.group()
def log() -> None:
    """Run, decide on and monitor an agency's log of its trails, docs/witnesses.md."""


@log.command("key")
@click.argument("name")
@OUT
@PKCS11
@EXISTING
@answers(NoteKeys)
@explained
def key(name: str, out: Path, pkcs11_file: Path | None, *, existing: bool, as_json: bool) -> None:
    """Make the log's keys: Ed25519 and ML-DSA-44, in one file that only you can read, or Ed25519 in a token.

    NAME is the log's origin: its address without the scheme. Give the vkeys to witnesses and readers.

    \b
    Examples:
      cji log key log.pd.example/trails -o log.key
      cji log key log.pd.example/trails -o log.key --pkcs11 token.toml
    """  # noqa: D301 - \b is click\'s mark for text that it must not wrap
    make_keys(name, out, pkcs11_file, kinds=LOG_TYPES, existing=existing, as_json=as_json)


@log.command("vkeys")
@KEY_FILE
@PKCS11
@answers(NoteKeys)
@explained
def vkeys(key_file: Path, pkcs11_file: Path | None, *, as_json: bool) -> None:
    """Show the vkeys of the log's keys, for witnesses and readers; with --pkcs11, the token must answer.

    \b
    Example:
      cji log vkeys log.key --pkcs11 token.toml
    """  # noqa: D301 - \b is click\'s mark for text that it must not wrap
    show_keys(key_file, pkcs11_file, kinds=LOG_TYPES, as_json=as_json)


@log.command("serve")
@click.option("--config", type=FILE, required=True, help="log.toml; see docs/witnesses.md.")
@click.pass_context
@explained
@log_faults
def serve(context: click.Context, config: Path) -> None:
    """Run the agency's log, until SIGTERM.

    It takes checkpoints of trails from deliverers by the rules of docs/witnesses.md, signs its tree, obtains the
    cosignatures of the policy's witnesses, and serves checkpoint, hash tiles and, with a token, entries.

    \b
    Example:
      cji log serve --config /etc/cji-log/log.toml
    """  # noqa: D301 - \b is click\'s mark for text that it must not wrap
    from cji_audit.tlog.serving import log_server, run  # noqa: PLC0415 - for this verb alone
    from cji_audit.tlog.settings import LogFile, load_file  # noqa: PLC0415

    file = load_file(config, LogFile)
    reference = reference_values(None if file.profile is None else Path(file.profile), None)
    with log_server(file, trusts=trusts_of(context), reference=reference) as server:
        run(server, started=lambda: click.echo(f"listening on {file.host}:{server.port}"))


@log.command("monitor")
@_POLICY
@click.option("--state", type=_NEW, required=True, help="Your file with what was read; made if it does not exist.")
@click.option("--token-file", type=FILE, help="The reader's token. Without it, hashes alone are read.")
@click.option(
    "--export", "folder", type=click.Path(file_okay=False, path_type=Path), help="Write checkpoint and tiles."
)
@_CA
@answers(Monitored)
@explained
@log_faults
def monitor(
    policy_file: Path, state: Path, token_file: Path | None, folder: Path | None, ca_file: Path | None, *, as_json: bool
) -> None:
    """Read every new leaf of a log, apply the log's own rules, and compare with what its witnesses show.

    With the reader's token, entries are read: two histories of one trail are found. Without it, hash tiles are read:
    two histories of the log are found. The exit status is 3 for any finding.

    \b
    Examples:
      cji log monitor --policy policy.toml --state monitor.db --token-file reader.token
      cji log monitor --policy policy.toml --state hashes.db --export tiles/
    """  # noqa: D301 - \b is click\'s mark for text that it must not wrap
    from cji_audit.tlog.monitor import Monitor  # noqa: PLC0415 - for this verb alone
    from cji_audit.tlog.serving import alone  # noqa: PLC0415
    from cji_audit.tlog.store import LogStore  # noqa: PLC0415

    policy, token = load_policy(policy_file), None if token_file is None else read_token(token_file)
    with alone(state):
        store = LogStore(state, origin=policy.file.origin)
        try:
            found = Monitor(store, policy, _client(ca_file), token=token)
            report = found.run()
            exported = 0 if folder is None or report.findings else found.export(folder)
        finally:
            store.close()
    answer = Monitored(
        size=report.size,
        with_entries=report.with_entries,
        cosigned=report.cosigned,
        exported=exported,
        findings=tuple(
            LogFinding(kind=each.kind, text=each.text, index=each.index, trail=each.trail) for each in report.findings
        ),
    )
    if as_json:
        print_document(msgspec.to_builtins(answer))
    else:
        _show(answer)
    if report.findings:
        raise Failure(f"{plural(len(report.findings), 'finding')}: do not trust this log", remedy=_READ, status=3)


@log.command("decide")
@click.argument("trail")
@_POLICY
@_TOKEN
@_KEY
@_OPERATOR
@_EXPLANATION
@click.option("--ak", help="SHA-256 of the AK of the machine that continues the trail. Default: the one before.")
@click.option(
    "--note", "note_file", type=FILE, help="The trail's checkpoint to continue from. Default: its last entry."
)
@_CA
@answers(Stated)
@explained
def decide(  # noqa: PLR0917 - click passes by name
    trail: str,
    policy_file: Path,
    token_file: Path,
    key_file: Path,
    operator: str,
    explanation: str,
    ak: str | None,
    note_file: Path | None,
    ca_file: Path | None,
    *,
    as_json: bool,
) -> None:
    """Decide how a frozen trail goes on: on which machine, and from which of its checkpoints.

    TRAIL is its identity, the hash of its first line. The statement is an entry of the log, signed by your key, which
    the policy pins. Investigate first: a frozen trail had two histories, or two machines.

    \b
    Example:
      cji log decide TRAIL --policy policy.toml --token-file reader.token --key operator.key --operator jdoe \\
        --explanation "VM 17 restored from the backup of Monday, ticket 4711"
    """  # noqa: D301 - \b is click\'s mark for text that it must not wrap
    policy, token, client = load_policy(policy_file), read_token(token_file), _client(ca_file)
    with _reaching():
        status, body = call(client, "GET", f"{policy.file.url}/trails/{trail}", token)
    if status != 200:
        raise Failure(f"the log does not show this trail (HTTP {status})", remedy=_IDENTITY, status=2)
    try:
        newest = read_message(body, Newest)
        note = newest.note if note_file is None else note_file.read_text("utf-8")
        parse_checkpoint(note.encode())
        decision = TrailDecision(
            origin=policy.file.origin,
            trail=trail,
            entries=newest.entries,
            note=note,
            ak_sha256=ak or newest.ak_sha256,
            operator=operator,
            explanation=explanation,
            time=_now(),
        )
        added = _stated(client, policy, token, decision, key_file)
    except (LeafError, CheckpointError, UnicodeDecodeError) as error:
        raise Failure(f"the decision was not taken: {error}", remedy="Correct it and run again.", status=1) from error
    index = parse_proof(added.proof.encode()).index
    print_answer(Stated(index=index, file=None), f"entry {index}: the trail goes on", as_json=as_json)


@log.command("change-policy")
@_POLICY
@click.option("--new", "new_file", type=FILE, required=True, help="The policy that follows.")
@_TOKEN
@_KEY
@_OPERATOR
@_EXPLANATION
@click.option("-o", "--out", type=_NEW, required=True, help="The new file with the statement and its proof.")
@_CA
@answers(Stated)
@explained
def change_policy(  # noqa: PLR0917 - click passes by name
    policy_file: Path,
    new_file: Path,
    token_file: Path,
    key_file: Path,
    operator: str,
    explanation: str,
    out: Path,
    ca_file: Path | None,
    *,
    as_json: bool,
) -> None:
    """State that another policy follows: other keys of the log, or other witnesses.

    The statement is signed by your key and is an entry of the log, under the old keys and the old witnesses'
    cosignatures. Readers take the new policy with `cji log accept`. Then put it and the new key file into log.toml.

    \b
    Example:
      cji log change-policy --policy policy.toml --new policy-2.toml --token-file reader.token --key operator.key \\
        --operator jdoe --explanation "yearly rotation" -o change.json
    """  # noqa: D301 - \b is click\'s mark for text that it must not wrap
    policy, new, token, client = (
        load_policy(policy_file),
        load_policy(new_file),
        read_token(token_file),
        _client(ca_file),
    )
    if new.file.origin != policy.file.origin:
        raise Failure("the new policy is of another log", remedy="Keep the origin.", status=2)
    try:
        decision = PolicyDecision(
            origin=policy.file.origin,
            previous_sha384=policy.digest,
            policy=encode_policy(new.file).decode(),
            operator=operator,
            explanation=explanation,
            time=_now(),
        )
        added = _stated(client, policy, token, decision, key_file)
    except LeafError as error:
        raise Failure(f"the policy was not changed: {error}", remedy="Correct it and run again.", status=1) from error
    try:
        with out.open("xb") as file:
            file.write(msgspec.json.encode(added))
    except OSError as error:
        raise Failure(f"{out} cannot be written", remedy="Name a new file.", status=2) from error
    index = parse_proof(added.proof.encode()).index
    print_answer(Stated(index=index, file=str(out)), f"{out}: entry {index}, for `cji log accept`", as_json=as_json)


@log.command("accept")
@_POLICY
@click.argument("new_file", type=FILE)
@click.argument("change", type=FILE)
@answers(PolicyAccepted)
@explained
def accept(policy_file: Path, new_file: Path, change: Path, *, as_json: bool) -> None:
    """Verify, without a network, that a policy follows the one that you pinned; then pin the new one.

    CHANGE is the file of `cji log change-policy`. Its statement must be signed by an operator of your policy, and be in
    the log under your policy's keys and quorum.

    \b
    Example:
      cji log accept --policy policy.toml policy-2.toml change.json && mv policy-2.toml policy.toml
    """  # noqa: D301 - \b is click\'s mark for text that it must not wrap
    policy, new = load_policy(policy_file), load_policy(new_file)
    try:
        found = read_change(change.read_bytes())
        index, stated = found.verify(policy), found.decision
        if stated.policy.encode() != encode_policy(new.file):
            raise LeafError("decision", f"{new_file.name} is another policy than the stated one")
    except (LeafError, CheckpointError) as error:
        remedy = "Keep your policy. Ask the log's operator, by another way, which policy follows."
        raise Failure(f"the change is refused: {error}", remedy=remedy, status=3) from error
    answer = PolicyAccepted(
        digest=new.digest, operator=stated.operator, time=stated.time, explanation=stated.explanation, index=index
    )
    text = f"{new_file} follows {policy_file}: by {stated.operator}, {stated.time}: {stated.explanation}"
    print_answer(answer, text, as_json=as_json)


def _stated(client: Client, policy: Policy, token: str, decision: Decision, key_file: Path) -> Added:
    leaf = sign_decision(decision, partial(es384_sign, signing_key(key_file)))
    with _reaching():
        return state(client, policy, token, leaf)


def _client(ca_file: Path | None) -> Client:
    return log_client(None if ca_file is None else str(ca_file))


@contextmanager
def _reaching() -> Iterator[None]:
    try:
        yield
    except LogUnreachableError as error:
        raise Failure(str(error), remedy=error.remedy, status=4) from error


def _now() -> str:
    return utc_hundredths(datetime.now(UTC))


def _show(answer: Monitored) -> None:
    kind = "entries" if answer.with_entries else "hashes; without entries, histories of trails were not compared"
    click.echo(f"{plural(answer.size, 'leaf', 'leaves')} read: {kind}")
    for name, at in sorted(answer.cosigned.items()):
        click.echo(f"{name} cosigned at {utc_hundredths(datetime.fromtimestamp(at, UTC))}")
    if answer.exported:
        click.echo(f"{plural(answer.exported, 'tile')} written")
    for each in answer.findings:
        where = "" if each.index is None else f"entry {each.index}: "
        about = "" if each.trail is None else f" (trail {each.trail})"
        click.echo(f"{each.kind}: {where}{each.text}{about}")
