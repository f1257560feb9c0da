"""The end of a command that sends a job or fetches its result: its signals, and what is printed about the job.

Ctrl-C, SIGTERM and SIGHUP end the command with 128 and their number. Then the worker is asked for some seconds whether
it has ended the job; a second signal ends the question. While a result is settled, from its last message to the folder
that keeps it, signals wait.
"""

import contextlib
import shlex
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import FrameType
from typing import Any, Final, Self

import click
from click.core import ParameterSource
from rich.console import Console

from cji_attestation import Trust
from cji_attestation.verbs.trusts import trust_named
from cji_client.connection import connect
from cji_client.errors import ClientError, NotStored
from cji_client.expiry import notices
from cji_client.kept import Kept
from cji_client.profile import ClientProfile
from cji_client.reference_standing import ReferenceStanding
from cji_client.release import JobRelease, Release, ask_again
from cji_client.result import OpenedResult, Result
from cji_client.signers import Decrypter
from cji_client.sources import FittedSource
from cji_client.standing import Sent, Standing
from cji_client.verbs.job.outputs import Destination, Opened
from cji_client.verbs.progress import shown
from cji_core.command.common import lacking
from cji_core.format.job import Header

_ENDING: Final = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
_STATUS: Final = 128
_ASK_SECONDS: Final = 5.0


class Interrupted(ClientError):  # noqa: N818
    """A signal ended the command."""

    def __init__(self, number: int) -> None:
        super().__init__(f"ended by {signal.Signals(number).name}", remedy="")
        self.exit_status = _STATUS + number


class Signals:
    """The signals that end a command, each a KeyboardInterrupt with its number in the main thread."""

    def __init__(self) -> None:
        self._waiting: int | None = None
        self._settling = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        with contextlib.suppress(ValueError):  # not the main thread, which gets no signals
            for number in _ENDING:
                if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup has it
                    self._before[number] = signal.signal(number, self._stop)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @contextlib.contextmanager
    def wait(self) -> Iterator[None]:
        """A block that no signal interrupts; it ends with the first that came."""
        self._settling = True
        try:
            yield
        finally:
            self._settling = False
        if self._waiting is not None:
            raise KeyboardInterrupt(self._waiting)

    def _stop(self, number: int, _: FrameType | None) -> None:
        if self._settling:
            self._waiting = number
            return
        sys.unraisablehook = lambda _: None  # a call of gRPC that a signal leaves half made complains when it goes
        raise KeyboardInterrupt(number)


class Ending:
    """One run of a verb: everything that it does is in the block `explained`. `standing` is that of its job.

    `out` is where the opened result is wanted.
    """

    def __init__(self, context: click.Context, *, out: Path | None = None, standing: Standing | None = None) -> None:
        self._context, self._out = context, out
        self.standing = standing or Standing()
        self.standing.following = self._following
        self._signals = Signals()
        self._worker: tuple[ClientProfile, Trust] | None = None

    def met(self, profile: ClientProfile) -> tuple[ClientProfile, Trust]:
        """The profile and the trust that it names; notes keys and certificates that end soon."""
        self._worker = profile, trust_named(self._context, profile.cloud)
        for notice in notices(profile):
            click.echo(f"note: {notice}", err=True)
        return self._worker

    def carry_out(
        self,
        call: Callable[..., OpenedResult],
        header: Header,
        destination: Destination,
        recipient: Decrypter | None,
        *,
        size: int,
        console: Console,
        inputs: Mapping[str, FittedSource] | None = None,
    ) -> tuple[Result, Opened | None]:
        """Send the job of this header by `call` and write its result, once there is room for `size` bytes of it."""
        self.standing.job_id = header.job_id
        console.print(f"job: {header.job_id.hex()}", highlight=False)
        with Kept(self.standing, size=size, settling=self._signals.wait) as kept, destination.ready(size):
            with shown(console) as steps:
                sealed = call(progress=steps, standing=self.standing, store=kept).sealed
            with sealed as result, shown(console) as steps:
                opened = destination.receive(console, result, recipient, inputs=inputs, kept=kept, progress=steps)
                return result, opened

    @contextlib.contextmanager
    def explained(self) -> Iterator[None]:
        """A block whose every end is explained."""
        with self._signals:
            try:
                yield
            except Exception as error:
                found = self._explained(error)
                if found is error:
                    raise
                raise found from error
            except KeyboardInterrupt as stop:
                ended = Interrupted(stop.args[0] if stop.args else signal.SIGINT)
                self._ask()
                self.standing.explain(ended)
                raise ended from stop

    def _explained(self, error: Exception) -> Exception:
        """The error to end with. One that is none of ours, and no fault of a file, stays what it is."""
        found: Exception = error
        if self.standing.sent is not Sent.NOTHING:
            failure = lacking(error) if isinstance(error, ModuleNotFoundError) else None
            if failure is not None:
                found = NotStored(failure.what, OSError())
                found.remedy = failure.remedy
            elif isinstance(error, OSError):
                found = NotStored("a file cannot be written or read", error)
        self.standing.explain(found)
        return found

    def _ask(self) -> None:
        """Ask the worker what it made of a job that was interrupted."""
        standing = self.standing
        if standing.sent is not Sent.NO_RECEIPT or isinstance(standing, ReferenceStanding):
            return
        if self._worker is None or standing.refused:
            return
        profile, trust = self._worker
        with contextlib.suppress(ClientError, KeyboardInterrupt), connect(profile, trusts=[trust]) as worker:
            standing.release = ask_again(lambda: self._release(worker), seconds=_ASK_SECONDS)

    def _release(self, worker: Any) -> JobRelease:
        found: JobRelease = worker.release(self.standing.job_id)
        return found

    def _following(self, standing: Standing) -> str:
        """The next command, as it can be typed."""
        if standing.sent is Sent.NOTHING:
            return ""
        if isinstance(standing, ReferenceStanding):
            return "" if standing.failed else f"Next: `{self._by_reference(standing)}`."
        if standing.kept is not None:
            return self._open(standing.kept)
        return self._without_result(standing)

    def _without_result(self, standing: Standing) -> str:
        job = standing.job_id.hex()
        if standing.sent is Sent.RECEIPT or standing.release is Release.RELEASED:
            receipt = self._line("receipt", "get", job, "--out", f"{job}.jws")
            return f"Its receipt: `{receipt}`. For the result, seal the records again."
        if standing.refused:
            return f"Then: `{self._again()}`."
        if standing.release is Release.NOT_RELEASED:
            return f"Next: `{self._again()}`."
        direct = () if self._worker is None or self._worker[0].storage is None else ("--direct",)
        return f"Next: `{self._line('job', 'status', job, *direct, '--wait', '60')}`."

    def _open(self, folder: Path) -> str:
        """How to open a sealed result, here if its key is here."""
        if self._worker is not None and (self._worker[0].recipient_key or self._worker[0].decrypter):
            return f"Next: `{self._line('job', 'open', str(folder), '--out', str(self._out or 'result'))}`."
        return f"Next: `{self._line('result', 'verify', str(folder))}`; `cji job open` opens it where its key is."

    def _by_reference(self, standing: ReferenceStanding) -> str:
        if self._context.command.name == "submit" and standing.ticket:
            return self._line("job", "status", str(standing.folder))
        if self._context.command.name == "submit":
            in_parts = ("--in-parts",) if self._context.params.get("in_parts") else ()
            return self._line("job", "submit", "--job", str(standing.folder), *in_parts)
        return self._again()

    def _line(self, *words: str) -> str:
        """A command line of the same program with the same profile."""
        profile = self._context.params["profile_file"]
        return f"{self._context.find_root().info_name} {shlex.join([*words, '--profile', str(profile)])}"

    def _again(self) -> str:
        """The command line that runs."""
        context, words = self._context, list[str]()
        for each in context.command.params:
            if each.name is None or context.get_parameter_source(each.name) is not ParameterSource.COMMANDLINE:
                continue
            value = context.params[each.name]
            if isinstance(each, click.Option):
                words.append(each.opts[-1])
            if not (isinstance(each, click.Option) and each.is_flag):
                words.append(str(value))
        return f"{context.command_path} {shlex.join(words)}"
