"""`cji doctor`: whether this machine is fit to run a worker or to send jobs, or a deployment is as it should be.

Each check prints a finding and a remedy.
"""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Final, Literal, TypeAlias

import click
import msgspec

from cji_core.command.common import FILE
from cji_core.command.findings import Finding
from cji_core.command.json_output import answers, member, print_document
from cji_core.command.verbs import contributed

_Purpose: TypeAlias = Literal["machine", "deployment", "client"]
_SHOWN: Final = {"machine": "a worker's machine", "deployment": "--azure", "client": "--client"}
_OF: Final[dict[str, tuple[_Purpose, ...]]] = {
    "config": ("machine", "deployment"),
    "delivery": ("machine",),
    "exports": ("deployment",),
    "report_only": ("deployment",),
    "profile_file": ("client",),
}
"""The checks that an option is for."""
_COLOURS = {"ok": "green", "warning": "yellow", "failed": "red", "not run": "blue"}


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """One check of `cji doctor`."""

    name: Annotated[str, member("what was checked")]
    state: Annotated[str, member("`ok`, `warning`, `failed` or `not run`")]
    found: Annotated[str, member("what was found")]
    remedy: Annotated[str, member("what to do; empty if nothing")]


@click.command()
@click.option("--config", type=FILE, help="Check this worker configuration and all that it names, too.")
@click.option("--delivery", type=FILE, help="audit.toml of the deliverer: check the agency's log by its records, too.")
@click.option("--azure", is_flag=True, help="Compare a deployment with deploy/ instead; needs --export.")
@click.option("--export", "exports", type=FILE, multiple=True, help="Exported resources, JSON; may be given again.")
@click.option("--client", is_flag=True, help="Check the machine of a submitter instead.")
@click.option("--profile", "profile_file", type=FILE, help="With --client: client.toml, its keys and its worker, too.")
@click.option("--report-only", is_flag=True, help="With --azure: exit with 0 in spite of findings.")
@answers(Checked, listed=True)
@click.pass_context
def doctor(
    context: click.Context,
    config: Path | None,
    delivery: Path | None,
    exports: tuple[Path, ...],
    *,
    azure: bool,
    client: bool,
    profile_file: Path | None,
    report_only: bool,
    as_json: bool,
) -> None:
    """Check whether this machine is fit to run a worker, or with --client to send jobs to one.

    Each check does what the worker will do: it creates secret memory, allocates in it, loads a system-call filter,
    reads the vTPM, encrypts. The exit status is 1 if a check failed. A warning needs a decision by the operator. A
    check that could not run counts as failed if a configuration was given. The last line is the command to run next.

    With --delivery it verifies the newest record of the agency's log, without a network: that the pinned log and a
    quorum signed it, and that no line waits for longer than the policy promises.

    With --client it checks what sending jobs needs: Python, OpenSSL, the clock, where memory may be written, and with
    --profile keys, certificates, the way to the worker, and its evidence. Nothing of a job is sent.

    With --azure it checks a deployment instead, on any machine and without a network: what was exported from the
    resource manager is compared with what deploy/ describes. What an export does not cover counts as failed too. With
    --config as well, tokens need the network's rule to Entra, the longest job is compared with the notice of a machine
    that ends, and a list of processors (`chips`) is refused where machines are added by autoscale.

    \b
    Examples:
      cji doctor
      cji doctor --config /etc/cji/worker.toml --delivery /etc/cji/audit.toml --json
      cji doctor --client --profile client.toml
      cji doctor --azure --export export.json
    """  # noqa: D301 - \b is click\'s mark for text that it must not wrap
    purpose = _purpose(context, deployment=azure, client=client)
    of = {"client": (context, profile_file), "deployment": (exports, config), "machine": (context, config, delivery)}
    findings = contributed(purpose)(*of[purpose])
    bad = {"failed"} if config is None else {"failed", "not run"}
    bad |= {"warning", "not run"} if azure else set()
    status = 1 if any(finding.state in bad for finding in findings) else 0
    if as_json:
        print_document([asdict(finding) for finding in findings], indent=2)
    else:
        _print(findings)
        if not azure:
            next_line = _next_of_client(findings, profile_file) if client else _next(findings, config, fit=not status)
            click.echo(f"\n{next_line}")
    context.exit(0 if report_only else status)


def _purpose(context: click.Context, *, deployment: bool, client: bool) -> _Purpose:
    """The one of the checks that the options name; UsageError for those of another one."""
    if client and deployment:
        raise click.UsageError("--client excludes --azure")
    purpose: _Purpose = "client" if client else "deployment" if deployment else "machine"
    for each in context.command.params:
        of = _OF.get(each.name or "", (purpose,))
        if context.params.get(each.name or "") and purpose not in of:
            raise click.UsageError(f"{each.opts[0]} is for {' and '.join(map(_SHOWN.__getitem__, of))}")
    return purpose


def _next(findings: list[Finding], config: Path | None, *, fit: bool) -> str:
    """The last line: the next command, or the number of failed checks."""
    if not fit:
        failed = sum(finding.state == "failed" for finding in findings)
        command = "cji doctor" if config is None else f"cji doctor --config {config}"
        return f"{failed} failed. Correct the first one, which others may follow from, and repeat: {command}"
    if config is None:
        return "The machine is fit. Next, with your configuration: cji doctor --config /etc/cji/worker.toml"
    return f"Fit to run. Next: systemctl enable --now cji-worker, or without systemd: cji serve --config {config}"


def _next_of_client(findings: list[Finding], profile: Path | None) -> str:
    failed = sum(finding.state == "failed" for finding in findings)
    command = f"cji doctor --client{'' if profile is None else f' --profile {profile}'}"
    if failed:
        return f"{failed} failed. Correct the first one, which others may follow from, and repeat: {command}"
    if profile is None:
        return "The machine can send jobs. Next: cji init, or with a profile: cji doctor --client --profile client.toml"
    return f"Ready to send jobs. Next: cji job run RECORDS --spec job.toml --profile {profile} --out result"


def _print(findings: list[Finding]) -> None:
    for finding in findings:
        state = click.style(f"{finding.state:8}", fg=_COLOURS[finding.state])
        click.echo(f"{state} {finding.name}: {finding.found}")
        if finding.remedy:
            click.echo(f"{'':8}   {finding.remedy}")
