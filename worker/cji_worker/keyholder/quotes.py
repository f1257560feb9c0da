"""Evidence for callers' nonces: those that wait share the next quote.

A TPM makes a few quotes a second. A caller waits for two of them at most, the one being made and its own, however many
others ask. The front's shares keep the queue from filling; a compromised front that fills it shuts callers out, which
it could do by silence as well.
"""

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from cji_attestation import AttestationError
from cji_attestation.evidence import MAX_NONCES, NONCE_BYTES, Evidence, gather
from cji_attestation.evidence.event_log import AppliedBundle
from cji_core.errors import Reason, Refusal, Stage
from cji_core.log import log

_PAUSE_S: Final = 0.1  # after each quote: leaves the TPM and a core to others, and gathers nonces


@dataclass(frozen=True, slots=True, kw_only=True)
class Quoted:
    """Fresh evidence as JSON, and the path on which a caller's nonce leads to the root that the quote binds.

    `update` is the hot update of the configuration that the quote commits to.
    """

    evidence: bytes
    nonce_path: bytes
    update: AppliedBundle | None


Answer = Callable[[Quoted | Refusal], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Request:
    nonce: bytes
    answer: Answer


MakeQuote = Callable[[bytes], tuple[Evidence, AppliedBundle | None]]


class Quotes:
    """`quote` makes evidence for a root of nonces; `reason_of` maps its errors to Reasons."""

    def __init__(self, quote: MakeQuote, *, reason_of: Callable[[AttestationError], Reason]) -> None:
        self._quote, self._reason_of = quote, reason_of
        self._waiting: queue.Queue[_Request | None] = queue.Queue(maxsize=MAX_NONCES)
        self._interrupted = threading.Event()

    def ask(self, nonce: bytes, answer: Answer) -> None:
        """Ask for fresh evidence over a nonce of 32 bytes; `answer` is called in the thread that serves.

        A nonce of another length or a full queue is refused at once, in the calling thread.
        """
        if len(nonce) != NONCE_BYTES:
            answer(Refusal(Reason.BAD_PARAMETERS, stage=Stage.OPEN))
            return
        try:
            self._waiting.put_nowait(_Request(nonce=nonce, answer=answer))
        except queue.Full:
            answer(Refusal(Reason.OVERLOADED, stage=Stage.START))

    def interrupt(self) -> None:
        """Make `serve` return after the quote that it makes now, however many wait."""
        self._interrupted.set()
        with contextlib.suppress(queue.Full):  # behind a full queue its thread is awake
            self._waiting.put_nowait(None)  # only wakes it: the thread that takes it may drop it

    def serve(self, until: float) -> None:
        """Answer until this time of time.monotonic(), or until it is interrupted."""
        while (left := until - time.monotonic()) > 0 and not self._interrupted.is_set():
            try:
                first = self._waiting.get(timeout=left)
            except queue.Empty:
                break
            if first is not None:
                self._answer([first, *self._others()])
                time.sleep(_PAUSE_S)
        self._interrupted.clear()

    def _others(self) -> Iterator[_Request]:
        with contextlib.suppress(queue.Empty):
            for _ in range(MAX_NONCES - 1):
                if (request := self._waiting.get_nowait()) is not None:
                    yield request

    def _answer(self, requests: Sequence[_Request]) -> None:
        root, paths = gather([request.nonce for request in requests])
        try:
            made, update = self._quote(root)
            evidence = made.to_json()
        except AttestationError as error:
            log("quote failed", fault=error.fault.value, check=error.check)
            for request in requests:
                request.answer(Refusal(self._reason_of(error), stage=Stage.START))
            return
        for request, path in zip(requests, paths, strict=True):
            request.answer(Quoted(evidence=evidence, nonce_path=path, update=update))
