"""The floor of a sealed job: the CPU that its bytes cost in a bare echo server, in AES-GCM and in SHA-256."""

from dataclasses import dataclass, field
from statistics import median
from typing import Final

from benchmarks.crypto import crypto_cpu
from benchmarks.stand import Usage

__all__ = ["Costs"]

_WORKER: Final = ("front", "cell", "keyholder")


@dataclass(slots=True, kw_only=True)
class Costs:
    """CPU of jobs, of echoes of the same messages, and of bare cryptography on the same bytes."""

    job: Usage = field(default_factory=Usage)
    echo: Usage = field(default_factory=Usage)
    crypto: Usage = field(default_factory=Usage)
    _pairs: list[float] = field(default_factory=list)

    def add(self, job: Usage, echo: Usage, *, sealed: int) -> None:
        """A job that received `sealed` bytes, and the echo beside it; the cryptography of its bytes is done now."""
        crypto, spent = Usage(megabytes=sealed / 1e6), crypto_cpu(received=sealed, sent=job.returned)
        crypto.seconds.update({"crypto": spent})
        floor = echo.seconds["echo"] + spent
        self._pairs.append(floor / sum(job.seconds[name] for name in _WORKER))
        for total, part in ((self.job, job), (self.echo, echo), (self.crypto, crypto)):
            total.add(part)

    def ratio(self, counted: slice) -> float:
        """The floor over the CPU of front, cell and keyholder: the median of the pairs that count; 1 is perfect."""
        return median(self._pairs[counted])
