"""The signals of the supervisor: SIGTERM and SIGINT wake it, SIGHUP waits until it is collected, with its sender."""

import os
import signal
from typing import Final

_HANGUP: Final = {signal.SIGHUP}


def take_signals() -> int:
    """A descriptor that becomes readable on SIGTERM and SIGINT. SIGHUP is blocked, in children too, who get none."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _HANGUP)
    read, write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    return read


def hangup() -> int | None:
    """The user id of the sender of SIGHUP since the last call; None if nobody did."""
    found = signal.sigtimedwait(_HANGUP, 0)
    return None if found is None else found.si_uid
