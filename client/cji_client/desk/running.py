"""One job of the desk: sent in a thread, its result kept sealed; and results that are opened.

Sending, verifying and writing are those of `cji job run` and `cji result open`. A result is a folder of
`cji_client.result_folder` below the desk's folder, and is verified again each time it is used.
"""

import contextlib
import io
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from rich.console import Console

from cji_attestation import Trust
from cji_attestation.verbs.proof_page import proof_page
from cji_client.bounds import held_result_bytes
from cji_client.cancellation import Cancellation
from cji_client.connection import Connection
from cji_client.desk.review import Review
from cji_client.errors import ClientError
from cji_client.kept import Kept
from cji_client.prepared import Prepared
from cji_client.profile import ClientProfile
from cji_client.progress import Phase, Progress
from cji_client.report import Job, report
from cji_client.result import Result
from cji_client.result_folder import read_result_folder
from cji_client.signers import Decrypter
from cji_client.sources import FittedSource
from cji_client.standing import Sent, Standing
from cji_client.verbs.job.outputs import Destination, Opened
from cji_client.verbs.receipt import verified_proof
from cji_client.verbs.receipt_rows import rows_of, unchecked_of
from cji_client.verbs.report_file import opened_job
from cji_core.command.output import CSV
from cji_core.errors import CjiError
from cji_core.operations.link.outputs import SIDE
from cji_core.operations.registry import plan

_STEPS: Final = {Phase.SENDING: "Sending", Phase.RECEIVING: "Fetching the result", Phase.WAITING: "Waiting"}


@dataclass(kw_only=True)
class Failure:
    """Why something did not work, and what to do."""

    what: str
    remedy: str

    @classmethod
    def of(cls, error: BaseException) -> "Failure":
        """In the words of the error if it is one of ours; no other has words that may be shown."""
        if isinstance(error, CjiError):
            return cls(what=str(getattr(error, "what", None) or error), remedy=error.remedy)
        return cls(what=f"the desk failed ({type(error).__name__})", remedy="Try again; tell your administrator.")


@dataclass(kw_only=True)
class Run:
    """A job that was started; `step`, `per_cent` and `failure` change while its thread runs."""

    name: str
    title: str
    folder: Path
    """Of its sealed result."""
    prepared: Prepared
    step: str = "Checking the worker"
    per_cent: int | None = None
    failure: Failure | None = None
    notes: list[str] = field(default_factory=list)
    ended: bool = False
    stop: Cancellation = field(default_factory=Cancellation)
    standing: Standing = field(default_factory=Standing)

    def start(self, connect: Callable[[], Connection]) -> None:
        """Begin in a thread."""
        self.standing.following = _following
        threading.Thread(target=self._work, args=(connect,), daemon=True, name="desk-job").start()

    def note(self, event: Progress) -> None:
        """A `ProgressCallback`."""
        if event.phase is Phase.RUNNING:
            self.step, self.per_cent = event.stage, event.per_cent
        elif event.phase in _STEPS and (self.per_cent in (None, 100) or event.phase is Phase.WAITING):
            size = f", {event.bytes / 1e6:.1f} MB" if event.bytes else ""
            self.step, self.per_cent = f"{_STEPS[event.phase]}{size}", None

    def _work(self, connect: Callable[[], Connection]) -> None:
        try:
            with self.standing.explaining(), connect() as worker:
                self._run(worker)
        except BaseException as error:  # noqa: BLE001 - it is shown
            self.failure = Failure.of(error)
        finally:
            self.ended = True

    def _run(self, worker: Connection) -> None:
        attested = worker.attest()
        sealed = worker.seal(self.prepared)
        self.standing.job_id = sealed.header.job_id
        size = held_result_bytes(sealed.header, self.prepared.bytes, most=None)
        destination = Destination(None, self.folder)
        console = Console(file=(words := io.StringIO()), width=200)
        with (
            Kept(self.standing, size=size, settling=contextlib.nullcontext) as kept,
            destination.ready(size),
            worker.run_sealed(
                sealed,
                self.prepared,
                attested=attested,
                progress=self.note,
                cancellation=self.stop,
                standing=self.standing,
                store=kept,
            ) as opened,
        ):
            destination.receive(console, opened.sealed, None, kept=kept)
        self.notes = words.getvalue().splitlines()


def _following(standing: Standing) -> str:
    """The next step, in words for the desk."""
    if standing.sent is Sent.NOTHING or standing.refused:
        return ""
    if standing.kept is not None:
        return "Open it from the list of results."
    return "If you need the result, run the job again."


@dataclass(kw_only=True, frozen=True)
class Results:
    """The sealed results in a folder, and what verifies and opens them."""

    folder: Path
    profile: ClientProfile
    trust: Trust
    key: Callable[[], Decrypter]
    inputs: dict[str, Mapping[str, FittedSource]] = field(default_factory=dict)
    """By name of a result, the inputs of its job, where they are still at hand."""

    def names(self) -> list[str]:
        """Those in the folder, the newest first."""
        found = [each for each in self.folder.glob("*/result.json") if not each.parent.name.startswith(".")]
        return [each.parent.name for each in sorted(found, key=lambda each: each.stat().st_mtime, reverse=True)]

    @contextlib.contextmanager
    def verified(self, name: str) -> Iterator[Result]:
        """One of them, verified; KeyError if there is none of this name."""
        if name not in self.names():
            raise KeyError(name)
        found = read_result_folder(self.folder / name)
        with found.verified(trust=self.trust, reference=self.profile.reference) as result:
            yield result

    def job(self, name: str, result: Result) -> Job:
        """The opened job, as its page and the review of pairs read it."""
        planned = plan(result.job.operations, result.job.input_schemas)
        return opened_job(result, self.key(), planned, self.inputs.get(name, {}))

    def receipt(self, name: str) -> str:
        """The page of the receipt, as `cji receipt show` writes it."""
        with self.verified(name) as result:
            unchecked = unchecked_of(result.receipt, result.attested, header=True)
            rows = rows_of(result.receipt, result.attested, self.trust)
            return "".join(proof_page(verified_proof(result.receipt, result.attested, rows, unchecked)))

    def review(self, name: str, file: Path) -> Review:
        """The review of its pairs, with their label file."""
        with self.verified(name) as result:
            return Review(self.job(name, result), two_tables=SIDE in result.job.input_schemas, file=file)

    def page(self, name: str) -> str | None:
        """The report; None if its operations have none."""
        with self.verified(name) as result:
            pieces = report(self.job(name, result))
            return None if pieces is None else "".join(pieces)

    def open(self, name: str, out: Path, *, suffix: str) -> tuple[Opened, list[str]]:
        """Write it into a new folder, opened, as `cji result open --safe-csv` does; with remarks."""
        console = Console(file=(words := io.StringIO()), width=200)
        destination = Destination(out, None, suffix=suffix, safe_csv=suffix == CSV)
        with self.verified(name) as result, destination.ready():
            opened = destination.receive(console, result, self.key(), inputs=self.inputs.get(name, {}))
        if opened is None:
            raise ClientError("the result was not opened", remedy="Try again.")
        return opened, words.getvalue().splitlines()


def new_name(title: str, taken: Callable[[str], bool]) -> str:
    """A name for a folder: the day, the words of `title`, and a number if it is taken."""
    words = "-".join("".join(c if c.isalnum() else " " for c in title.lower()).split())[:60].strip("-") or "job"
    first = f"{datetime.now(UTC):%Y-%m-%d}-{words}"
    names = (first if n == 1 else f"{first}-{n}" for n in range(1, 10_000))
    return next(each for each in names if not taken(each))
