"""Refusals of the command under `--json`: one object on the last line of standard error, for a program to read."""

import enum
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Annotated, Any, Final

import click
import msgspec

from cji_core.command.common import Failure
from cji_core.command.json_output import as_text, member
from cji_core.command.verbs import Verbs
from cji_core.errors import Refusal, Stage, StartupError

REASONS: Final = {1: "REFUSED", 2: "UNUSABLE", 3: "UNVERIFIED", 4: "UNAVAILABLE", 5: "UNFINISHED"}
"""The reason of a refusal that has no other, by its exit status."""
_ABORTED: Final = 1
INTERRUPTED: Final = "INTERRUPTED"
_SIGNALS: Final = 128
"""The exit status of a command that a signal ended, less the signal's number."""


class Refused(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A verb that failed. Members after `status` are absent where they do not apply."""

    reason: Annotated[
        str,
        member(
            "one of those below: of a worker or of attestation, else by exit status `REFUSED`, `UNUSABLE`, "
            "`UNVERIFIED`, `UNAVAILABLE`, `UNFINISHED`, or `INTERRUPTED` for a signal"
        ),
    ]
    message: Annotated[str, member("what is wrong, in words")]
    remedy: Annotated[str, member("what to do about it; may be empty")]
    status: Annotated[int, member("the exit status")]
    stage: Annotated[str | None, member("the stage of the job at which the worker refused it")] = None
    correlation_id: Annotated[str | None, member("the worker's id of the call, for its operator")] = None
    check: Annotated[str | None, member("the check or claim that failed")] = None
    columns: Annotated[tuple[str, ...], member("names of the columns that it is about")] = ()
    row: Annotated[int | None, member("the first row of the table that it is about, from 0")] = None
    limit: Annotated[str | None, member("name of the limit that is exceeded")] = None
    job: Annotated[str | None, member("id of the job that it ended, 32 hexadecimal digits")] = None
    sent: Annotated[
        str | None, member("how far that job had come: `nothing sent`, `sent, no receipt` or `receipt received`")
    ] = None
    release: Annotated[
        str | None,
        member("of a job that was sent: the worker's answer, as of `cji job status`; absent without an answer"),
    ] = None
    kept: Annotated[str | None, member("the folder with its verified result, still sealed")] = None


class RefusedAsJson(click.ClickException):
    """Ends the command as `error` does, and prints it as an object."""

    def __init__(self, refused: Refused) -> None:
        super().__init__(refused.message)
        self.refused = refused

    @property
    def exit_code(self) -> int:  # type: ignore[override]  # a class variable in the base
        """The exit status, which click reads."""
        return self.refused.status

    def show(self, file: IO[Any] | None = None) -> None:
        """Print the object on one line."""
        click.echo(as_text(self.refused), file=file, err=file is None)


class Command(Verbs):
    """The verbs of `cji`. If --json is among the words of the command line, a refusal is an object."""

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """As the base; refusals of the command line itself are those of a verb."""
        as_json = "--json" in args
        with _as_object(wanted=as_json):
            context = super().make_context(info_name, args, parent, **extra)
        context.meta[__name__] = as_json
        return context

    def invoke(self, ctx: click.Context) -> Any:
        """As the base."""
        with _as_object(wanted=ctx.meta[__name__]), _interruptible():
            return super().invoke(ctx)


@contextmanager
def _as_object(*, wanted: bool) -> Iterator[None]:
    try:
        yield
    except click.ClickException as error:
        if not wanted:
            raise
        raise RefusedAsJson(refused(error)) from error
    except click.Abort as error:
        if not wanted:
            raise
        answer = Refused(reason=REASONS[_ABORTED], message="aborted at a prompt", remedy="", status=_ABORTED)
        raise RefusedAsJson(answer) from error


@contextmanager
def _interruptible() -> Iterator[None]:
    """Ctrl-C has the exit status of its signal, at a prompt too."""
    try:
        yield
    except click.Abort as error:
        if not isinstance(error.__context__, KeyboardInterrupt):
            raise
        raise _interrupted() from error
    except KeyboardInterrupt as error:
        raise _interrupted() from error


def _interrupted() -> Failure:
    return Failure("interrupted", remedy="", status=_SIGNALS + signal.SIGINT)


def refused(error: click.ClickException) -> Refused:
    """The object for an error that ends the command; what caused it has the particulars."""
    cause = error.__cause__
    if isinstance(error, Failure):
        message, remedy = error.what, error.remedy
    else:
        message, remedy = error.format_message(), ""
        if isinstance(error, click.UsageError) and error.ctx is not None:
            remedy = f"`{error.ctx.command_path} --help` explains the command line."
    stage, columns, row, limit = (getattr(cause, name, None) for name in ("stage", "columns", "row", "limit"))
    check, correlation = (getattr(cause, name, None) for name in ("check", "correlation_id"))
    standing = getattr(cause, "standing", None)
    job, sent, release, kept = (getattr(standing, name, None) for name in ("job_id", "sent", "release", "kept"))
    by_status = INTERRUPTED if error.exit_code > _SIGNALS else REASONS.get(error.exit_code, REASONS[1])
    return Refused(
        reason=_reason(cause) or by_status,
        message=message,
        remedy=remedy or (getattr(cause, "remedy", "") if _fault(cause) is not None else ""),
        status=error.exit_code,
        stage=stage.value if isinstance(stage, Stage) and not isinstance(cause, StartupError) else None,
        correlation_id=correlation if isinstance(correlation, str) and correlation else None,
        check=check if isinstance(check, str) else None,
        columns=columns if isinstance(columns, tuple) else (),
        row=row if isinstance(row, int) else None,
        limit=limit if isinstance(limit, str) else None,
        job=job.hex() if isinstance(job, bytes) and job else None,
        sent=None if sent is None else str(sent),
        release=None if release is None else str(release),
        kept=None if kept is None else str(kept),
    )


def _reason(cause: BaseException | None) -> str | None:
    """The Reason or Fault of an error, or of the job that it is about; None for any other.

    A StartupError has a Reason for a worker's caller, not for who runs the command.
    """
    if isinstance(cause, StartupError):
        return None
    if isinstance(cause, Refusal):
        return cause.reason.value
    claims = getattr(getattr(cause, "failure", None), "claims", cause)
    reason = _fault(cause) or getattr(claims, "reason", None)
    return reason.value if isinstance(reason, enum.StrEnum) else None


def _fault(cause: BaseException | None) -> enum.StrEnum | None:
    """The Fault of an AttestationError, which the core does not know; None for any other error."""
    found = getattr(cause, "fault", None)
    return found if isinstance(found, enum.StrEnum) else None
