"""`cji status`, `cji reload`, `cji renew` and `cji record`: ask a running worker over its control socket."""

import json
import re
import time
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import click
import msgspec

from cji_core.command.common import FILE, Failure, configuration, explained
from cji_core.command.json_output import answers, member, print_answer
from cji_core.strict import parse
from cji_worker.ipc.status import ask

_ANSWER_S: Final = 45.0
_PAUSE_S: Final = 0.05
_DIGEST: Final = re.compile("[0-9a-f]{96}")
_OPTION: Final = click.option("--config", type=FILE, required=True, help="worker.toml of the running worker.")


class Reloaded(msgspec.Struct, frozen=True, kw_only=True):
    """`cji reload`: policy, authorities and revocation lists are in force."""

    reloaded: Annotated[Literal[True], member("always true")]


class Renewing(msgspec.Struct, frozen=True, kw_only=True):
    """`cji renew`: the worker attests its machine and requests its keys; `cji status` has the outcome."""

    renewing: Annotated[Literal[True], member("always true")]


class RecordedDocument(msgspec.Struct, frozen=True, kw_only=True):
    """`cji record`: the digest of a document that is in the trail."""

    line: Annotated[int, member("number of the line that has it")]


@click.command()
@_OPTION
@click.option("--json", "as_json", is_flag=True, help="Print the worker's JSON document.")
@click.pass_context
@explained
def status(context: click.Context, config: Path, *, as_json: bool) -> None:
    """Show the state of the worker that runs with this configuration.

    Readiness, the conditions of the machine, keys and until when they may be used, cells, processes, the head of the
    audit trail, the last reload. Run it as the worker's user or as root. The exit status is 0 if the worker serves, 1
    if it does not, 4 if it does not answer.

    \b
    Examples:
      cji status --config /etc/cji/worker.toml
      cji status --config /etc/cji/worker.toml --json | jq .keys
    """  # noqa: D301 - \b is click\'s mark for text that it must not wrap
    document = asked(config, "status")
    if as_json:
        click.echo(json.dumps(document, indent=2))
    else:
        for name, value in _table(document):
            click.echo(f"{name:12} {value}")
    context.exit(0 if document.get("state") == "serving" else 1)


@click.command()
@_OPTION
@answers(Reloaded)
@explained
def reload(config: Path, *, as_json: bool) -> None:
    """Have the running worker read its policy, authorities and revocation lists again, all or none.

    Every file is checked first; the first one that cannot be used is named, and nothing changes. worker.toml itself is
    read at start only. Run it as the worker's user or as root. The audit trail records who did.

    \b
    Example:
      cji reload --config /etc/cji/worker.toml
    """  # noqa: D301 - \b is click\'s mark for text that it must not wrap
    document = asked(config, "reload")
    fault = document.get("fault")
    if fault is not None:
        raise Failure(f"nothing was reloaded. {fault['what']}", remedy=fault["remedy"], status=1)
    print_answer(
        Reloaded(reloaded=True), "reloaded: policy, authorities and revocation lists are in force", as_json=as_json
    )


@click.command()
@_OPTION
@answers(Renewing)
@explained
def renew(config: Path, *, as_json: bool) -> None:
    """Have the running worker attest its machine and request its keys again, now.

    Use it after a change to the keys, their release policy, a role or the provider: the next renewal by itself can be
    half an hour away. Keys that are held stay in use until the new ones are there; if the vault denies one, the worker
    drops it. At most one attestation in ten seconds is made in this way. The outcome is in the worker's log. Run it as
    the worker's user or as root.

    \b
    Example:
      cji renew --config /etc/cji/worker.toml && journalctl -u cji-worker -f
    """  # noqa: D301 - \b is click\'s mark for text that it must not wrap
    if not asked(config, "renew").get("renewing"):
        raise Failure("the supervisor does not answer", remedy="Look at the worker's log; it may be ending.", status=4)
    text = "renewing: the worker's log has the outcome, `cji status` shows until when its keys may be used"
    print_answer(Renewing(renewing=True), text, as_json=as_json)


@click.command()
@click.argument("document", type=click.Choice(["review", "packet"]))
@click.argument("sha384")
@_OPTION
@answers(RecordedDocument)
@explained
def record(document: str, sha384: str, config: Path, *, as_json: bool) -> None:
    """Have the running worker write the digest of a weekly review or of an auditor's packet into its trail.

    The line proves to everybody who has the trail, and to its witnesses, that the document existed by then: a
    review or packet that is dated back has no line of that time. `cji audit review sign` and `cji audit sign-packet`
    print SHA384; the document itself stays where it is. Run it as the worker's user or as root.

    \b
    Example:
      cji record review 5d41402abc4b2a76b9719d911017c592... --config /etc/cji/worker.toml
    """  # noqa: D301 - \b is click\'s mark for text that it must not wrap
    if _DIGEST.fullmatch(sha384) is None:
        remedy = "Give the 96 hexadecimal digits that the signing command printed."
        raise Failure("this is not a SHA-384 digest in lower-case hexadecimal", remedy=remedy, status=2)
    line = asked(config, f"record {document} {sha384}").get("line")
    if not isinstance(line, int):
        remedy = "A reload may be running, or the trail cannot be written: look at `cji status`, then try again."
        raise Failure("nothing was recorded", remedy=remedy, status=4)
    print_answer(RecordedDocument(line=line), f"recorded in line {line} of the trail", as_json=as_json)


def asked(config: Path, request: str) -> dict[str, Any]:
    """The worker's answer to one line on its control socket."""
    path = configuration(config).control_socket
    if path is None:
        raise Failure("the configuration has no control_socket", remedy="Set one and restart the worker.", status=2)
    end = time.monotonic() + _ANSWER_S
    try:
        while not (data := ask(path, request, timeout=_ANSWER_S)) and time.monotonic() < end:
            time.sleep(_PAUSE_S)
        document = parse(data, limit=len(data))
    except PermissionError as error:
        remedy = "Run this as the worker's user, or as root."
        raise Failure(f"{path} may not be used", remedy=remedy, status=1) from error
    except (OSError, ValueError) as error:
        raise Failure(
            f"no worker answers at {path}", remedy="Start it, or look at its log: it may be starting.", status=4
        ) from error
    if not isinstance(document, dict):
        raise Failure(f"{path} is not a worker's", remedy="Compare control_socket with the worker's.", status=4)
    return document


def _table(document: dict[str, Any]) -> list[tuple[str, str]]:
    """The rows of the readable form. Parts that a worker has not reported yet are left out."""
    why = ", ".join(document[name] for name in ("reason", "condition") if document.get(name))
    reason = f" ({why})" if why else ""
    rows = [("state", f"{document.get('state')}{reason}")]
    if "worker" in document:
        rows.append(("worker", f"{document['worker']}, version {document['version']}, since {document['started']}"))
    for each in document.get("host", ()):
        held = "held" if each["held"] else "NOT HELD"
        rows.append(("host", f"{each['condition']}: {held}{', withdraws readiness' * each['withdraws_readiness']}"))
    rows += [("key", f"{each['kek_id']} until {each['until']}") for each in document.get("keys") or ()]
    rows += [("key", f"{each['kek_id']} MISSING ({each['reason']})") for each in document.get("keys_missing") or ()]
    ends = [f"{name} {end}" for name, end in (document.get("until") or {}).items() if end]
    rows += [("until", ", ".join(ends))] if ends else []
    if cells := document.get("cells"):
        rows.append(("cells", f"{cells['warm']} warm, {cells['busy']} busy, of {cells['configured']}"))
        rows.append(("jobs", f"{document['jobs_waiting']} waiting, {_job_counts(document['jobs'])}"))
    if bundle := document.get("bundle"):
        rows.append(("bundle", f"serial {bundle['serial']}, SHA-384 {bundle['sha384']}"))
    for each in document.get("processes", ()):
        age = "no beat yet" if each["beat_age_s"] is None else f"last beat {each['beat_age_s']} s ago"
        rows.append(("process", f"{each['name']} {each['pid']}: {age}"))
    if audit := document.get("audit"):
        state = "" if audit["writable"] else ", NOT WRITABLE"
        rows.append(("audit", f"line {audit['line']}, anchor {audit['anchor']}, hash {audit['hash'][:16]}...{state}"))
    for each in (document.get("audit") or {}).get("deliveries", ()):
        state = f"NOT DELIVERED for {each['waits_s']} s" if each["overdue"] else f"waits {each['waits_s']} s"
        rows.append(("delivery", f"{each['destination']}: line {each['line']}, {state}"))
    if clients := document.get("clients"):
        lists = f", revocation lists {clients['crl_until']} ({clients['revoked']} revoked)" * bool(clients["crl_until"])
        rows.append(("clients", f"authorities until {clients['authorities_until']}{lists}"))
    if last := document.get("reload"):
        rows.append(("reload", _reload_row(last)))
    return rows


def _job_counts(jobs: dict[str, Any]) -> str:
    """The counts since the start."""
    completed = sum(sum(each["completed"]) for each in jobs["operations"])
    ended, refused = (sum(each["count"] for each in jobs[name]) for name in ("ended", "refused"))
    return f"{completed} completed, {ended} ended without a receipt, {refused} refused"


def _reload_row(last: dict[str, Any]) -> str:
    if last["running"]:
        return "running"
    if last["ended"] is None:
        return "none since the start"
    fault = last["fault"]
    return f"{last['ended']}: " + ("done" if fault is None else f"refused. {fault['what']}. {fault['remedy']}")
