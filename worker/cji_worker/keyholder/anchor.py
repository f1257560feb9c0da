"""The anchor of the audit trail: a counter in the vTPM, which nothing on this machine can set back.

    1 `TrailAnchored(counter=N+1)` is appended to the trail
    2 the counter is incremented to N+1

At start, the counter must equal the last anchor of the trail, or be one behind it: then a crash came between 1 and 2,
and 2 is done now. Anything else means that lines are missing, that another trail took this one's place, or that the
counter is another TPM's: the trail is refused, and a line records that. The first anchor of a trail needs a counter
that does not exist yet; a counter that was removed and defined again begins above its last value.

Only the start that begins a trail makes its first anchor. A worker without a pool ledger makes it on a TPM that never
had a counter: else the trail of an earlier worker may be gone, and with it the job ids that it knows. Where another
trail is right, as on a machine that was set up again, `cji audit resume` records the decision, with its time.

Lines are anchored at start and stop, and every second that there are new ones, so a rollback that no anchor reveals
loses a second of lines at most, or what was written while the TPM was busy: after `OVERDUE_S` no job is admitted.
"""

import queue
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Final, Protocol

from cji_attestation import AttestationError, Trust
from cji_core.errors import Reason, Refusal, StartupError
from cji_core.format.configuration.worker import Config
from cji_core.log import log
from cji_core.trail import TrailAnchored, TrailRefused
from cji_worker.trail.file import AuditFile

OVERDUE_S: Final = 10.0
"""An attestation may use the TPM for several seconds."""
_PAUSE_S: Final = 1.0
_STOP_S: Final = 3.0
_REMEDY: Final = (
    "Restore the newest trail of this machine. If it is lost, or the machine is a new one, investigate, then run "
    "`cji audit resume`."
)
_UNUSED: Final = 1
"""`highest` of a TPM that never had a counter."""
_NEW_REMEDY: Final = (
    "Put the trail of this machine back. If there is none, because the machine was set up again, run "
    "`cji audit resume`, which records your decision and refuses headers from before it."
)


class Counter(Protocol):
    """A counter as `cji_attestation.evidence.tpm_counter.NvCounter` has it."""

    def value(self) -> int | None:
        """Its value; None if it does not exist."""

    def increment(self) -> int:
        """Increment it, or create it, and return its value."""

    def highest(self) -> int:
        """The value below the first one of a counter that is created next."""


OpenCounter = Callable[[], AbstractContextManager[Counter]]


def is_alone(config: Config, trust: Trust) -> bool:
    """Whether nothing but this machine's own trail knows the job ids that it used, and its TPM is its own."""
    return config.ledger is None and not trust.tpm_is_shared


def establish(audit: AuditFile, open_counter: OpenCounter, *, alone: bool) -> int:
    """Compare the trail with the counter, finish an anchor that a crash cut short; return the counter's value.

    `alone` is as `is_alone` returns it.

    Raises StartupError with the Reason AUDIT_UNAVAILABLE if they do not belong together or the TPM cannot be used.
    """
    expected = audit.last_anchor()
    try:
        with open_counter() as counter:
            found = counter.value()
            if expected is None and found is None:
                return _begin(audit, counter, alone=alone)
            if expected is not None and (found is None or found == expected - 1):
                found = counter.increment()
    except AttestationError as error:
        raise _startup_error(f"The vTPM's counter cannot be used ({error.check})", error.remedy) from error
    if found is None or found != expected:
        audit.append(TrailRefused(compared_with="counter", expected=expected, found=found))
        raise _startup_error(_difference(expected, found), _REMEDY)
    return found


def anchor_again(audit: AuditFile, open_counter: OpenCounter) -> int:
    """Anchor a trail wherever the counter stands: for `cji audit resume`. Raises AttestationError."""
    with open_counter() as counter:
        found = counter.value()
        return _first(audit, counter) if found is None else _advance(audit, counter, found + 1)


class Anchor:
    """Anchors new lines while the worker runs, for the main thread; a thread of its own increments the counter."""

    def __init__(self, audit: AuditFile, open_counter: OpenCounter, *, value: int) -> None:
        """`value` is the counter's, as `establish` returned it."""
        self._audit, self._open = audit, open_counter
        self.value = value
        """The counter's value; it is that of the last anchor that is complete."""
        self._since: float | None = None
        """When the last anchor was appended, if its increment is not complete."""
        self._targets: queue.SimpleQueue[int | None] = queue.SimpleQueue()
        self._reached: queue.SimpleQueue[int] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="anchor", daemon=True)
        self._thread.start()

    @property
    def overdue(self) -> bool:
        """Whether an increment takes longer than `OVERDUE_S`; then no job may be admitted."""
        return self._since is not None and time.monotonic() - self._since > OVERDUE_S

    def follow(self) -> None:
        """Anchor new lines. Call it every second. Raises StartupError if the counter is not where it must be."""
        self._complete()
        if self._since is not None or self._audit.anchored:
            return
        try:
            self._audit.append(TrailAnchored(counter=self.value + 1))
        except Refusal:
            return  # the trail is not available, and lines are not acknowledged
        self._since = time.monotonic()
        self._targets.put(self.value + 1)

    def finish(self) -> None:
        """Anchor the last lines and end the thread. An increment that takes too long is finished at the next start."""
        end = time.monotonic() + _STOP_S
        if self._since is not None:
            self._complete(wait=_STOP_S)
        self.follow()
        self._targets.put(None)
        self._thread.join(max(end - time.monotonic(), 0))

    def _complete(self, *, wait: float = 0) -> None:
        try:
            found = self._reached.get(block=wait > 0, timeout=wait or None)
        except queue.Empty:
            return
        expected = self.value + 1
        if found != expected:
            self._audit.record(TrailRefused(compared_with="counter", expected=expected, found=found))
            raise _startup_error(_difference(expected, found or None), _REMEDY)
        self.value, self._since = found, None

    # ---- below: the anchor thread ----

    def _run(self) -> None:
        while (target := self._targets.get()) is not None:
            while (found := self._increment(target)) is None:
                time.sleep(_PAUSE_S)
            self._reached.put(found)

    def _increment(self, target: int) -> int | None:
        """The counter's value once the target was tried, 0 if it was removed; None if the TPM does not answer."""
        try:
            with self._open() as counter:
                found = counter.value()  # an increment whose answer was lost is not repeated
                return counter.increment() if found == target - 1 else found or 0
        except AttestationError as error:
            log("not anchored", fault=error.fault.value, check=error.check)
            return None


def _begin(audit: AuditFile, counter: Counter, *, alone: bool) -> int:
    """The first anchor of a trail that this process began. Raises StartupError where a person must decide."""
    if not audit.began:
        raise _startup_error("The audit trail has lines of an earlier start, but no anchor", _REMEDY)
    highest = counter.highest()
    if alone and highest > _UNUSED:
        audit.append(TrailRefused(compared_with="tpm", expected=_UNUSED, found=highest))
        raise _startup_error(
            "The audit trail is new, but the vTPM had a counter before: a trail is missing", _NEW_REMEDY
        )
    return _first(audit, counter, highest=highest)


def _first(audit: AuditFile, counter: Counter, *, highest: int | None = None) -> int:
    target = (counter.highest() if highest is None else highest) + 1
    found = _advance(audit, counter, target)
    # another worker's counter may have been removed in between
    return found if found == target else _advance(audit, counter, found + 1)


def _advance(audit: AuditFile, counter: Counter, target: int) -> int:
    audit.append(TrailAnchored(counter=target))
    return counter.increment()


def _difference(expected: int | None, found: int | None) -> str:
    if expected is None:
        return f"The audit trail has no anchor, but the vTPM's counter exists and is {found}: lines are missing"
    if found is not None and found > expected:
        return f"The audit trail ends at anchor {expected}, but the vTPM's counter is {found}: lines are missing"
    if found is None:
        return f"The audit trail ends at anchor {expected}, but the vTPM's counter was removed"
    return f"The audit trail ends at anchor {expected}, but the vTPM's counter is {found}: it is another TPM's"


def _startup_error(what: str, remedy: str) -> StartupError:
    return StartupError(what, remedy, reason=Reason.AUDIT_UNAVAILABLE)
