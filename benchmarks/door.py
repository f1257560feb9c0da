"""`door`: the same echo behind the TLS door, with each of its stages taken away, and with gRPC's own TLS, in turns.

The bytes are those of a sealed job that copies its columns; small calls are the same with a hundred rows. The client is
the same on all sides. A GB is 10^9 bytes in and out together. gRPC's own TLS is what a worker without a door would
have; it cannot be restricted to suites of 256 bits.
"""

from contextlib import ExitStack
from dataclasses import dataclass, field
from statistics import median
from typing import Final

from benchmarks.corpus import people, rows_of
from benchmarks.echo import SIDES, EchoServer, Side
from benchmarks.harness import Result, Spread, percentile
from benchmarks.machine import at_most_cores, facts, image_socket_bytes, socket_bytes
from benchmarks.pipeline import COPY
from benchmarks.processes import CpuClock
from benchmarks.quiet import Measured, quietest
from benchmarks.report import Report
from benchmarks.stand import Stand, open_stand
from benchmarks.wire import Connection, Prepared, verify_echo

__all__ = ["run"]

_MB: Final = 1_000_000
_SIZE: Final = 64 * _MB
_SMALL_ROWS: Final = 100
_CORES: Final = 2
_TEXTS: Final[dict[Side, str]] = {
    "counting": "door that counts connections",
    "firewall": "door, the kernel counts",
    "clear": "the same door without TLS",
    "tls": "gRPC's own TLS",
    "plain": "gRPC without TLS",
}
_TLS: Final = frozenset[Side]({"counting", "firewall", "tls"})


@dataclass(slots=True)
class _Measured:
    """One side: CPU seconds for each GB of the echo and of its door, and MB/s, of each call."""

    connection: Connection
    clock: CpuClock
    echo: list[float] = field(default_factory=list)
    door: list[float] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)
    ms: list[float] = field(default_factory=list)

    def call(self, prepared: Prepared) -> None:
        """One call of the large job."""
        before = self.clock.read()
        seconds = self.connection.call(prepared)
        spent = {name: now - before[name] for name, now in self.clock.read().items()}
        verify_echo(self.connection, prepared)
        gigabytes = 2 * prepared.megabytes / 1000
        self.rates.append(prepared.megabytes / seconds)
        self.echo.append(spent["echo"] / gigabytes)
        self.door.append(spent.get("door", 0.0) / gigabytes)

    def small(self, prepared: Prepared) -> None:
        """One call of the small job."""
        self.ms.append(self.connection.call(prepared) * 1000)
        verify_echo(self.connection, prepared)

    def cpu(self) -> tuple[float, float]:
        """Means: a clock of hundredths of a second is coarse beside one call."""
        return sum(self.echo) / len(self.echo), sum(self.door) / len(self.door)


def run(report: Report, *, quick: bool) -> Result:
    """Measure and print; a minute, half of it when `quick`."""
    machine, turns, calls = facts(), 5 if quick else 12, 100 if quick else 400
    report.heading("door", machine)
    with at_most_cores(_CORES), open_stand(room=_SIZE * 3 // 2) as stand, ExitStack() as stack:
        large, small = (stand.prepare(people(rows), COPY) for rows in (rows_of(_SIZE), _SMALL_ROWS))
        sides = _open(stand, stack)
        for side in sides.values():
            side.call(large)
        with report.doing(f"{_SIZE // _MB} MB, {turns} turns of {len(sides)}"):
            opened = sides
            window = quietest(lambda: _turns(opened, large, turns))
            sides, load = window.value, window.load
        with report.doing(f"{calls} small calls"):
            for _ in range(calls):
                for side in sides.values():
                    side.small(small)
    figures, ratios = _result(report, sides, load)
    return Result(name="door", machine=machine, figures=figures, ratios=ratios)


def _open(stand: Stand, stack: ExitStack) -> dict[Side, _Measured]:
    tls, found = stand.site.profile.tls(), dict[Side, _Measured]()
    for name in SIDES:
        echo = stack.enter_context(EchoServer(stand.site.worker.config, side=name))
        to_echo = Connection(echo.target, tls if name in _TLS else None, room=_SIZE * 3 // 2)
        found[name] = _Measured(stack.enter_context(to_echo), CpuClock(echo.pids))
    return found


def _turns(sides: dict[Side, _Measured], large: Prepared, turns: int) -> dict[Side, _Measured]:
    new = {name: _Measured(side.connection, side.clock) for name, side in sides.items()}
    for _ in range(turns):
        for side in new.values():
            side.call(large)
    return new


def _result(report: Report, sides: dict[Side, _Measured], load: float) -> tuple[dict[str, float], dict[str, float]]:
    cpu = {name: side.cpu() for name, side in sides.items()}
    total = {name: sum(each) for name, each in cpu.items()}
    own = sides["tls"]
    rates = {
        name: median(ours / theirs for ours, theirs in zip(side.rates, own.rates, strict=True))
        for name, side in sides.items()
    }
    report.table(
        "The same echo, CPU seconds for each GB in and out",
        (
            "",
            "echo",
            "door",
            "together",
            "/ gRPC's TLS",
            "MB/s of input",
            "/ gRPC's TLS",
            "small call, p50 ms",
            "p99 ms",
        ),
        [
            (
                _TEXTS[name],
                *(f"{each:.2f}" for each in cpu[name]),
                f"{total[name]:.2f}",
                f"{total[name] / total['tls']:.2f}",
                Spread.of(side.rates).text(),
                f"{rates[name]:.2f}",
                *(f"{percentile(side.ms, each):.2f}" for each in (50, 99)),
            )
            for name, side in sides.items()
        ],
    )
    stages = {
        "outer": total["counting"] - total["firewall"],
        "tls": total["firewall"] - total["clear"],
        "hop": total["clear"] - total["plain"],
        "own_tls": total["tls"] - total["plain"],
    }
    report.table(
        "What each stage costs, CPU s/GB",
        ("stage", "s/GB"),
        [
            ("the server that counts", f"{stages['outer']:.2f}"),
            ("TLS, in nginx", f"{stages['tls']:.2f}"),
            ("HTTP/2 in nginx, and a socket more", f"{stages['hop']:.2f}"),
            ("TLS, in gRPC", f"{stages['own_tls']:.2f}"),
        ],
    )
    if socket_bytes() != image_socket_bytes():
        report.note(
            f"sockets are those of this machine; as in the image: sysctl net.core.wmem_default={image_socket_bytes()}"
        )
    figures: dict[str, float] = {}
    for name, side in sides.items():
        figures |= {
            f"mb_per_s_{name}": Measured.of(median(side.rates), load),
            f"cpu_s_per_gb_{name}": Measured.of(total[name], load),
            f"p50_ms_{name}": percentile(side.ms, 50),
        }
    figures |= {f"cpu_s_per_gb_stage_{name}": value for name, value in stages.items()}
    ratios: dict[str, float] = {
        "door": Measured.of(rates["firewall"], load),
        "cpu": Measured.of(total["tls"] / total["firewall"], load),
        "door_counting": Measured.of(rates["counting"], load),
        "cpu_counting": Measured.of(total["tls"] / total["counting"], load),
    }
    return figures, ratios
