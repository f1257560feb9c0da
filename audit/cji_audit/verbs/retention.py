"""`cji retention`: what a pool stores of its jobs expires by rule and with proof, and legal holds over it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar

import click
import msgspec

from cji_audit.errors import AuditError
from cji_audit.packet.keys import keys_in
from cji_audit.retention import Finding, Log, compare, load_disposal, local_documents, read_log
from cji_core.command.common import FILE, Failure, explained, passphrase_for, plural
from cji_core.command.json_output import answers, member, print_answer
from cji_core.format.keys import load_signing_key
from cji_core.pool.errors import StoreError
from cji_core.trail.compact import MAX_BYTES

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential

    from cji_audit.retention.desk import Desk

F = TypeVar("F", bound=Callable[..., Any])
_FOLDER: Final = click.Path(exists=True, file_okay=False, path_type=Path)
_RULES: Final = click.option("--rules", type=FILE, required=True, help="disposal.toml: storage, rules, signers.")
_IDENTITY_SECONDS: Final = 30.0
_ATTENTION: Final = frozenset({"HOLD_INCOMPLETE", "UNREADABLE", "IMMUTABLE"})
_LOG: Final = "Keep your copy of the log and the container as they are, and investigate who changed which record."


class AreaDue(msgspec.Struct, frozen=True, kw_only=True):
    """The stored blobs of one area of a job, and the verdict of the rules."""

    job: Annotated[str, member("id of the job, hexadecimal")]
    area: Annotated[str, member("`input`, `result` or `proof`")]
    state: Annotated[str, member("`due`, `kept`, `held` or `refused`")]
    why: Annotated[str, member("the reason, docs/how-to/retention.md")]
    blobs: Annotated[int, member("versions and snapshots")]
    since: Annotated[str, member("when its time began, UTC")]
    until: Annotated[str, member("when it ends, UTC")]


class RetentionDue(msgspec.Struct, frozen=True, kw_only=True):
    """`cji retention due`: everything that is stored."""

    areas: Annotated[tuple[AreaDue, ...], member("objects of the kind AreaDue, by job")]


class AreaDeleted(msgspec.Struct, frozen=True, kw_only=True):
    """One deletion with its outcome."""

    record: Annotated[int, member("number of its record")]
    job: Annotated[str, member("id of the job, hexadecimal")]
    area: Annotated[str, member("`input`, `result` or `proof`")]
    time: Annotated[str, member("when the outcome was recorded, UTC, by the service's clock")]
    operator: Annotated[str, member("who did it, by their own word")]
    principal: Annotated[str, member("object id of the identity that did it")]
    receipt_sha384: Annotated[str | None, member("digest of the job's receipt; null if the job has none")]
    failure_sha384: Annotated[str | None, member("digest of its failure receipt; null if it has none")]
    blobs: Annotated[int, member("versions and snapshots")]
    kept: Annotated[int, member("those that the service refused to delete")]
    recoverable_until: Annotated[str | None, member("when the service erases the last of it; null if it keeps nothing")]
    erased: Annotated[bool, member("whether a record confirms that the service lists nothing more of it")]


class RetentionRun(msgspec.Struct, frozen=True, kw_only=True):
    """`cji retention run`: what was deleted and what was not."""

    deleted: Annotated[tuple[AreaDeleted, ...], member("objects of the kind AreaDeleted")]
    erased: Annotated[tuple[int, ...], member("deletions of which the service lists nothing more, by their records")]
    areas: Annotated[tuple[AreaDue, ...], member("objects of the kind AreaDue, as before the run")]


class RetentionHold(msgspec.Struct, frozen=True, kw_only=True):
    """`cji retention hold`: jobs on hold."""

    case: Annotated[str, member("the case")]
    jobs: Annotated[tuple[str, ...], member("ids of its jobs, hexadecimal")]
    versions: Annotated[int, member("versions and snapshots that have Azure's legal hold")]


class RetentionRelease(msgspec.Struct, frozen=True, kw_only=True):
    """`cji retention release`: jobs that a case holds no longer."""

    case: Annotated[str, member("the case")]
    free: Annotated[tuple[str, ...], member("jobs of it that no case holds, without Azure's legal hold")]


class RetentionFinding(msgspec.Struct, frozen=True, kw_only=True):
    """A record that breaks a rule."""

    rule: Annotated[str, member("the rule, docs/how-to/retention.md")]
    record: Annotated[int, member("number of the record")]
    what: Annotated[str, member("what is wrong, in words")]


class VerifiedRetention(msgspec.Struct, frozen=True, kw_only=True):
    """`cji retention verify`: a retention log."""

    records: Annotated[int, member("records of the log")]
    head_sha384: Annotated[str, member("digest of the last one, hexadecimal")]
    deleted: Annotated[tuple[AreaDeleted, ...], member("objects of the kind AreaDeleted")]
    holds: Annotated[dict[str, tuple[str, ...]], member("jobs on hold, by case")]
    findings: Annotated[
        tuple[RetentionFinding, ...], member("objects of the kind RetentionFinding; empty if all is in order")
    ]


@click.group()
def retention() -> None:
    """Let sealed inputs and results in Blob Storage expire by rule, with proof, and hold them for a case.

    What is due is deleted, every version of it, and a signed record states what, when, by whom, which receipt and why.
    Records are a chain in the account's container `retention`, with a copy on this machine. docs/how-to/retention.md
    sets it up.
    """


def _making(command: F) -> F:
    """The options of verbs that make records."""
    for option in (
        click.option("--explanation", required=True, help="Why, for the readers of the log; at most 256 characters."),
        click.option("--operator", required=True, help="Your name or id, for the readers of the log."),
        click.option("--key", "key_file", type=FILE, required=True, help="Your key, from `cji key new-signing`."),
        _RULES,
    ):
        command = option(command)
    return command


@retention.command()
@_RULES
@answers(RetentionDue)
@explained
def due(*, rules: Path, as_json: bool) -> None:
    """List what is stored of each job, and what the rules say of it. Nothing is changed.

    \b
    Example:
      cji retention due --rules disposal.toml
    """  # noqa: D301 - \b is click's mark for text that it must not wrap
    with _refusals(), _desk(rules) as (desk, _):
        areas = tuple(map(_area, desk.due()))
    text = "\n".join(map(_line, areas)) or "nothing is stored"
    print_answer(RetentionDue(areas=areas), text, as_json=as_json)


@retention.command()
@_making
@answers(RetentionRun)
@explained
def run(*, rules: Path, key_file: Path, operator: str, explanation: str, as_json: bool) -> None:
    """Delete what is due, with a record before and after; complete what an earlier run left open.

    Run it daily, by a timer, with an identity that may delete in the containers of jobs and results and nothing else.
    A job on hold is left alone; it is listed by name, as is everything else that needs a person: then the exit
    status is 1.

    \b
    Example:
      cji retention run --rules disposal.toml --key retention.key --operator timer --explanation "schedule 7"
    """  # noqa: D301 - \b is click's mark for text that it must not wrap
    with _refusals(), _desk(rules, key_file, operator, explanation) as (desk, state):
        ran = desk.run()
        log = state()
    done = tuple(_deleted(log, number) for number in ran.deletions)
    areas = tuple(map(_area, ran.verdicts))
    left = [each for each in areas if each.why in _ATTENTION]
    lines = [*map(_outcome, done), *(f"erased: record {number}" for number in ran.purged), *map(_line, left)]
    held = len({each.job for each in areas if each.state == "held"})
    lines.append(f"{plural(len(done), 'deletion')}, {plural(held, 'job')} on hold")
    answer = RetentionRun(deleted=done, erased=tuple(ran.purged), areas=areas)
    print_answer(answer, "\n".join(lines), as_json=as_json)
    if left or any(each.kept for each in done):
        raise Failure("something could not be deleted", remedy="Read the reasons: docs/how-to/retention.md.", status=1)


@retention.command()
@click.argument("case")
@click.argument("jobs", nargs=-1, required=True)
@_making
@answers(RetentionHold)
@explained
def hold(
    case: str, jobs: tuple[str, ...], *, rules: Path, key_file: Path, operator: str, explanation: str, as_json: bool
) -> None:
    """Put everything that is stored of these JOBS on hold for a CASE, until it is released.

    Azure then refuses to delete it. Again for what came later. This needs the right to change legal
    holds, which the identity of `run` does not have.

    \b
    Example:
      cji retention hold 26-CR-0117 6b1f0c1e2d3a4b5c6d7e8f9001122334 --rules disposal.toml \\
        --key counsel.key --operator jdoe --explanation "court order of 2026-12-01"
    """  # noqa: D301 - \b is click\'s mark for text that it must not wrap
    with _refusals(), _desk(rules, key_file, operator, explanation) as (desk, _):
        versions = desk.hold(case, jobs)
    answer = RetentionHold(case=case, jobs=tuple(sorted(set(jobs))), versions=versions)
    text = f"{plural(len(answer.jobs), 'job')} on hold for {case}: {plural(versions, 'version')}"
    print_answer(answer, text, as_json=as_json)


@retention.command()
@click.argument("case")
@_making
@answers(RetentionRelease)
@explained
def release(case: str, *, rules: Path, key_file: Path, operator: str, explanation: str, as_json: bool) -> None:
    """Release the jobs of a CASE. What no other case holds can then be deleted, once it is due.

    \b
    Example:
      cji retention release 26-CR-0117 --rules disposal.toml --key counsel.key --operator jdoe \\
        --explanation "case closed"
    """  # noqa: D301 - \b is click\'s mark for text that it must not wrap
    with _refusals(), _desk(rules, key_file, operator, explanation) as (desk, _):
        free = tuple(desk.release(case))
    text = f"{case} is released; on hold no longer: {', '.join(free) or 'no job, other cases hold them'}"
    print_answer(RetentionRelease(case=case, free=free), text, as_json=as_json)


@retention.command()
@click.argument("log", type=_FOLDER)
@click.option("--signer", "signers", type=FILE, multiple=True, required=True, help="Public key whose records count.")
@click.option("--receipts", type=_FOLDER, help="Receipts that submitters kept, *.jws, to compare with.")
@answers(VerifiedRetention)
@explained
def verify(log: Path, *, signers: tuple[Path, ...], receipts: Path | None, as_json: bool) -> None:
    """Verify a copy of a retention LOG without a network: signatures, chain, and that no deletion broke a rule.

    It lists what was deleted, when, by whom, and with which receipt, and the jobs on hold. The exit status is 3 if a
    record is refused or breaks a rule. Compare `head_sha384` with a copy that others keep: a log without its last
    records is a shorter log.

    \b
    Example:
      cji retention verify retention-log --signer retention.key.pub --signer counsel.key.pub --receipts receipts/
    """  # noqa: D301 - \b is click's mark for text that it must not wrap
    with _refusals():
        documents = local_documents(log)
        if not documents:
            raise Failure(f"{log} has no record", remedy="Name the folder that `cji retention run` keeps.", status=2)
        found = read_log(documents, keys_in({each.name: each.read_bytes() for each in signers}))
        findings = found.end() + (compare(found, _receipts(receipts)) if receipts else [])
    deleted = tuple(_deleted(found, number) for number in sorted(found.deleted))
    answer = VerifiedRetention(
        records=found.size,
        head_sha384=found.head,
        deleted=deleted,
        holds={case: tuple(sorted(jobs)) for case, jobs in sorted(found.cases.items())},
        findings=tuple(map(_finding, findings)),
    )
    print_answer(answer, "\n".join(_verified(answer)), as_json=as_json)
    if findings:
        raise Failure(f"{plural(len(findings), 'finding')}", remedy=_LOG, status=3)


def _credential() -> "TokenCredential":
    """The credential that Microsoft's library finds: environment, managed identity, a tool that is signed in."""
    from azure.identity import DefaultAzureCredential  # noqa: PLC0415 - only for verbs that ask the storage

    from cji_core.azure_client import bounded_transport  # noqa: PLC0415

    transport = bounded_transport(None, seconds=_IDENTITY_SECONDS, plain=True)
    return DefaultAzureCredential(exclude_interactive_browser_credential=True, transport=transport)


@contextmanager
def _desk(
    rules: Path, key_file: Path | None = None, operator: str = "", explanation: str = ""
) -> Iterator[tuple["Desk", Callable[[], Log]]]:
    """A desk by these rules, with a maker of records if there is a key, and its log."""
    from cji_audit.retention import desk as at  # noqa: PLC0415 - the clients of Azure
    from cji_audit.retention.identity import principal_of  # noqa: PLC0415
    from cji_audit.retention.log import RetentionLog  # noqa: PLC0415
    from cji_audit.retention.store import SealedBlobs  # noqa: PLC0415
    from cji_core.pool.store import Blobs  # noqa: PLC0415

    found, credential, maker = load_disposal(rules), _credential(), None
    keys = keys_in({name: _bytes(name) for name in found.signers})
    if key_file is not None:
        key = load_signing_key(key_file, passphrase=passphrase_for(key_file))
        maker = at.Maker(key=key, principal=principal_of(credential), operator=operator, explanation=explanation)
    storage, closed = found.storage, list[Any]()

    def client(kind: Any, container: str) -> Any:
        closed.append(kind(storage.blob_url, container, credential=credential, ca_file=storage.ca_file))
        return closed[-1]

    try:
        account = at.Account(
            url=storage.blob_url,
            inputs=client(SealedBlobs, storage.jobs),
            results=client(SealedBlobs, storage.results),
            input_documents=client(Blobs, storage.jobs),
            result_documents=client(Blobs, storage.results),
        )
        log = RetentionLog(client(Blobs, storage.records), Path(found.log), keys)
        yield at.Desk(account, log, found.keep, maker), lambda: log.state
    finally:
        for each in closed:
            each.close()


@contextmanager
def _refusals() -> Iterator[None]:
    """Errors of the storage and of the log, with an exit status each."""
    try:
        yield
    except AuditError as error:
        raise Failure(str(error), remedy=error.remedy, status=_STATUS.get(error.code, 2)) from error
    except StoreError as error:
        status = 1 if error.status in _DENIED else 4
        remedy = _RIGHTS if status == 1 else "Repeat the command once the storage answers; it continues."
        raise Failure(str(error), remedy=remedy, status=status) from error
    except OSError as error:
        what = f"{error.filename} cannot be read or written ({error.strerror})"
        raise Failure(what, remedy="Name another one, or give yourself the right to it.", status=2) from error


_DENIED: Final = frozenset({401, 403})
_RIGHTS: Final = "Compare the roles of this identity with docs/how-to/retention.md: who deletes may not change holds."
_STATUS: Final = {
    "retention-log-invalid": 3,
    "hold-refused": 1,
    "principal-unknown": 1,
    "retention-log-moved": 4,
    "service-clock-unknown": 4,
}


def _bytes(name: str) -> bytes:
    return Path(name).read_bytes()


def _receipts(folder: Path) -> list[str]:
    """The compact receipts in a folder of *.jws, one a line."""
    found = list[str]()
    for path in sorted(folder.glob("*.jws")):
        found += path.read_bytes()[: 64 * MAX_BYTES].decode("ascii", "replace").split()
    return found


def _area(each: Any) -> AreaDue:
    return AreaDue(
        job=each.job.id,
        area=each.area,
        state=each.state,
        why=each.why,
        blobs=len(each.stored),
        since=f"{each.since:%Y-%m-%dT%H:%M:%SZ}",
        until=f"{each.until:%Y-%m-%dT%H:%M:%SZ}",
    )


def _line(each: AreaDue) -> str:
    return f"{each.state:8} {each.job} {each.area:6} {each.why}, until {each.until}"


def _deleted(log: Log, number: int) -> AreaDeleted:
    each = log.deleted[number]
    act = each.deletion
    return AreaDeleted(
        record=number,
        job=act.job,
        area=act.area,
        time=each.record.time,
        operator=each.record.operator,
        principal=each.record.principal,
        receipt_sha384=act.receipt_sha384 or None,
        failure_sha384=act.failure_sha384 or None,
        blobs=len(act.blobs),
        kept=each.kept,
        recoverable_until=each.recoverable_until or None,
        erased=log.is_erased(number),
    )


def _outcome(each: AreaDeleted) -> str:
    end = f"receipt {each.receipt_sha384[:16]}…" if each.receipt_sha384 else "no receipt"
    kept = f", {each.kept} kept" if each.kept else ""
    until = "erased" if each.erased else f"recoverable until {each.recoverable_until or 'now'}"
    return (
        f"deleted  {each.job} {each.area:6} {plural(each.blobs, 'blob')}{kept}, {each.time}, by {each.operator} "
        f"({each.principal}), {end}, {until}"
    )


def _finding(each: Finding) -> RetentionFinding:
    return RetentionFinding(rule=each.rule, record=each.number, what=each.what)


def _verified(answer: VerifiedRetention) -> Iterator[str]:
    yield from map(_outcome, answer.deleted)
    for case, jobs in answer.holds.items():
        yield f"on hold  {', '.join(jobs)} for {case}"
    for each in answer.findings:
        yield f"{each.rule}: record {each.record}: {each.what}"
    yield f"{plural(answer.records, 'record')}, head {answer.head_sha384}"
