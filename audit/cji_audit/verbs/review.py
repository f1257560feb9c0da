"""`cji audit review`: the weekly review of trails, its signature, and whether one is overdue."""

import json
import os
import sys
import tempfile
from collections import Counter
from contextlib import suppress
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Final

import click
import msgspec

from cji_audit.review import (
    PAGE,
    REPORT,
    SIGNED,
    Context,
    HeadError,
    Report,
    ReviewError,
    ReviewFolderError,
    Settings,
    Sources,
    Week,
    encode,
    head_of_checkpoint,
    heads_of_review,
    heads_of_state,
    load_settings,
    read_report,
    render,
)
from cji_audit.review import review as make_report
from cji_audit.review.hours import zone_named
from cji_audit.review.model import KnownHead
from cji_audit.review.page import STATED
from cji_audit.verbs.review_answers import MadeReview
from cji_audit.verbs.review_sign import confirmation_sources, sign, status, verify
from cji_core.command.common import FILE, Failure, explained
from cji_core.command.json_output import answers, print_document
from cji_core.trail import ChainError
from cji_core.trail.rules import RULES, SEVERITIES
from cji_core.trail.trail import size_of

FOLDER: Final = click.Path(exists=True, file_okay=False, path_type=Path)
_MAX_SHOWN: Final = 20


@click.group(invoke_without_command=True)
@click.option("--trail", "trails", type=FILE, multiple=True, help="A worker's trail; once for each worker.")
@click.option("--week", "name", help="The week, such as 2026-W48. Default: the last one that has ended.")
@click.option("--settings", "settings_file", type=FILE, help="review.toml: hours of agencies, and thresholds.")
@click.option("--receipts", type=FOLDER, help="Folder with the receipts that submitters have, as .jws files.")
@click.option("--confirmations", type=FOLDER, help="Folder with confirmations that came since the last review.")
@click.option("--policy", "policies", type=FILE, multiple=True, help="A policy that was in force for a confirmed job.")
@click.option("--state", "states", type=FOLDER, multiple=True, help="State folder of `cji audit deliver`.")
@click.option("--checkpoint", "checkpoints", type=FILE, multiple=True, help="A checkpoint that you have.")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="Folder of all reviews.")
@answers(MadeReview)
@click.pass_context
@explained
def review(
    context: click.Context,
    *,
    trails: tuple[Path, ...],
    name: str | None,
    settings_file: Path | None,
    receipts: Path | None,
    confirmations: Path | None,
    policies: tuple[Path, ...],
    states: tuple[Path, ...],
    checkpoints: tuple[Path, ...],
    out: Path | None,
    as_json: bool,
) -> None:
    """Review a week of audit trails (CJISSECPOL AU-6).

    Verifies every line of every trail, and writes WEEK/review.json and WEEK/review.html below --out: volumes by agency,
    operator and purpose, and everything that a reviewer should look at, with its lines. The trails must also contain
    the last lines that the latest earlier review in that folder has seen. Read the page, then sign it.

    A week begins on Monday 00:00 in the time zone of --settings. The exit status is 3 if a trail does not verify.

    \b
    Example:
      cji audit review --trail worker-1.log --trail worker-2.log --week 2026-W48 --settings review.toml --out reviews
      cji audit review sign reviews/2026-W48 --key reviewer.key --reviewer "Jane Doe" --comment "No objection."
      cji audit review verify reviews --reviewer reviewer.key.pub
      cji audit review status reviews --reviewer reviewer.key.pub
    """  # noqa: D301 - \b is click\'s mark for text that it must not wrap
    if context.invoked_subcommand is not None:
        return
    if not trails or out is None:
        raise click.UsageError("Give --trail and --out, or one of the commands sign, verify and status.")
    settings = _settings(settings_file)
    about = _context(name, settings, out, states=states, checkpoints=checkpoints)
    target = out / str(about.week)
    if (target / SIGNED).exists():
        raise Failure(f"{about.week} is already signed", remedy="Name another week, or another --out.", status=1)
    sources = confirmation_sources(confirmations, policies)
    report = _run(trails, about, receipts=receipts, confirmations=sources, quiet=as_json)
    _write(target, {REPORT: encode(report), PAGE: render(report)})
    if as_json:
        print_document(_object(report, target))
    else:
        click.echo(_summary(report, target))


@click.command()
def schema() -> None:
    """Print the JSON Schema of review.json."""
    click.echo(json.dumps(msgspec.json.schema(Report), indent=2))


for _verb in (sign, verify, status, schema):
    review.add_command(_verb)


def _run(
    trails: tuple[Path, ...], context: Context, *, receipts: Path | None, confirmations: Sources | None, quiet: bool
) -> Report:
    """The report, with a progress bar on standard error; faults are a Failure."""
    try:
        length = sum(map(size_of, trails))
        with click.progressbar(length=length, label="reviewing", hidden=quiet, file=sys.stderr) as bar:
            return make_report(trails, context, receipts=receipts, confirmations=confirmations, progress=bar.update)
    except (ReviewError, ChainError) as error:
        remedy = "Investigate who changed the trail. Keep it, and get the newest copy from the worker."
        raise Failure(str(error), remedy=remedy, status=3) from error
    except OSError as error:
        raise Failure(f"{error.filename} cannot be read ({error.strerror})", remedy="", status=2) from error
    except ValueError as error:
        raise Failure(str(error), remedy="Give folders with files of these workers only.", status=2) from error


def _settings(path: Path | None) -> Settings:
    if path is None:
        return Settings()
    try:
        return load_settings(path)
    except (OSError, ValueError) as error:
        remedy = "docs/review.md explains the keys of review.toml."
        raise Failure(f"{path.name}: {error}", remedy=remedy, status=2) from error


def _context(
    name: str | None, settings: Settings, out: Path, *, states: tuple[Path, ...], checkpoints: tuple[Path, ...]
) -> Context:
    """The week, and whether it has ended; the lines that others have seen."""
    zone, now = zone_named(settings.time_zone), datetime.now(UTC)
    week = _week(name) if name else Week.of(now, zone).shifted(-1)
    if week.begins(zone) > now.isoformat():
        raise Failure(f"{week} has not begun", remedy="Name an earlier week.", status=2)
    return Context(
        week=week,
        settings=settings,
        software=f"cji-worker {version('cji-worker')}",
        complete=week.shifted(1).begins(zone) <= now.isoformat(),
        heads=_heads(states, checkpoints, out, week),
    )


def _week(name: str) -> Week:
    try:
        return Week.parse(name)
    except ValueError as error:
        raise Failure(str(error), remedy="Name a week of ISO 8601: its year and its number.", status=2) from error


def _heads(states: tuple[Path, ...], checkpoints: tuple[Path, ...], out: Path, week: Week) -> tuple[KnownHead, ...]:
    """Lines that others have seen of the trails, and those of the latest review before this one."""
    try:
        found = [head for state in states for head in heads_of_state(state)]
        found += [head_of_checkpoint(path) for path in checkpoints]
        if (earlier := _earlier(out, week)) is not None:
            found += heads_of_review(read_report(earlier)[0])
    except HeadError as error:
        remedy = "Without it nothing shows whether the trail is whole. Restore the file, or investigate who changed it."
        raise Failure(str(error), remedy=remedy, status=3) from error
    except ReviewFolderError as error:
        raise Failure(str(error), remedy="Restore the earlier review.", status=3) from error
    except OSError as error:
        raise Failure(f"{error.filename} cannot be read ({error.strerror})", remedy="", status=2) from error
    return tuple(found)


def _earlier(out: Path, week: Week) -> Path | None:
    """The folder of the latest earlier week that has a report."""
    found: list[tuple[Week, Path]] = []
    for path in out.iterdir() if out.is_dir() else ():
        with suppress(ValueError):
            if (other := Week.parse(path.name)) < week and (path / REPORT).exists():
                found.append((other, path))
    return max(found)[1] if found else None


def _write(folder: Path, files: dict[str, bytes]) -> None:
    """Write the files of a week; each replaces a former one as a whole."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o750)
        for name, data in files.items():
            descriptor, new = tempfile.mkstemp(prefix=f".{name}.", dir=folder)
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
            Path(new).chmod(0o640)
            Path(new).replace(folder / name)
    except OSError as error:
        remedy = "Give --out a folder that you can write."
        raise Failure(f"{folder} cannot be written ({error.strerror})", remedy=remedy, status=2) from error


def _object(report: Report, target: Path) -> dict[str, object]:
    findings = msgspec.to_builtins(report.findings)
    counts = Counter(finding.severity for finding in report.findings)
    return {
        "week": report.week,
        "complete": report.complete,
        "folder": str(target),
        **{f"{severity}s": counts[severity] for severity in SEVERITIES},
        "findings": findings,
    }


def _summary(report: Report, target: Path) -> str:
    counts = Counter(finding.severity for finding in report.findings)
    released = f"{report.total.rows_out} rows released, {STATED}"
    lines = [
        f"{report.week}: {report.total.jobs} jobs, {report.refused} refusals, {released}",
        ", ".join(f"{counts[severity]} {severity}{'' if counts[severity] == 1 else 's'}" for severity in SEVERITIES),
    ]
    for finding in report.findings[:_MAX_SHOWN]:
        text = json.dumps(f"{RULES[finding.rule].title}: {finding.subject}", ensure_ascii=False)[1:-1]
        lines.append(f"{finding.id:>5}  {finding.severity:7}  {text}")
    if len(report.findings) > _MAX_SHOWN:
        lines.append(f"       {len(report.findings) - _MAX_SHOWN} more findings are in the report")
    if not report.complete:
        return "\n".join([*lines, "the week has not ended: this report cannot be signed"])
    return "\n".join([*lines, f"read {target / PAGE}, then sign: cji audit review sign {target} --key ..."])
