"""Ends a run from another thread."""

import threading

import grpc


class Cancellation:
    """Lets another thread end a `run`: its call, or its wait before the next attempt."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._asked = threading.Event()
        self._call: grpc.Call | None = None

    def cancel(self) -> None:
        """End the run as soon as possible; it raises JobCancelled."""
        with self._lock:
            self._asked.set()
            if self._call is not None:
                self._call.cancel()  # type: ignore[no-untyped-call]

    @property
    def asked(self) -> bool:
        """Whether `cancel` was called."""
        return self._asked.is_set()

    def watch(self, call: grpc.Call) -> None:
        """Cancel this call when `cancel` is called."""
        with self._lock:
            self._call = call
            if self._asked.is_set():
                call.cancel()  # type: ignore[no-untyped-call]

    def wait(self, seconds: float) -> None:
        """Sleep, or return early when `cancel` is called."""
        self._asked.wait(seconds)
