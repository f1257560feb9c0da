"""`door`: the same echo behind the TLS door and with gRPC's own TLS, in turns: what the door costs.

The bytes are those of a sealed job that copies its columns; small calls are the same with a hundred rows. The client is
the same on both sides. gRPC's own TLS is what the front had before; it cannot be restricted to suites of 256 bits.
"""

from typing import Final

from benchmarks.corpus import people, rows_of
from benchmarks.echo import EchoServer
from benchmarks.harness import Result, paired, percentile
from benchmarks.machine import at_most_cores, facts
from benchmarks.pipeline import COPY
from benchmarks.processes import CpuClock
from benchmarks.report import Report
from benchmarks.stand import Stand, open_stand
from benchmarks.wire import Connection, Prepared, verify_echo

__all__ = ["run"]

_MB: Final = 1_000_000
_SIZE: Final = 64 * _MB
_SMALL_ROWS: Final = 100
_CORES: Final = 2


def run(report: Report, *, quick: bool) -> Result:
    """Measure and print; a minute, half of it when `quick`."""
    machine, pairs, calls = facts(), 3 if quick else 9, 100 if quick else 400
    report.heading("door", machine)
    with at_most_cores(_CORES), open_stand(room=_SIZE * 3 // 2) as stand:
        figures, ratios = _measure(report, stand, pairs=pairs, calls=calls)
    return Result(name="door", machine=machine, figures=figures, ratios=ratios)


def _measure(report: Report, stand: Stand, *, pairs: int, calls: int) -> tuple[dict[str, float], dict[str, float]]:
    large = stand.prepare(people(rows_of(_SIZE)), COPY)
    small = stand.prepare(people(_SMALL_ROWS), COPY)
    tls, config = stand.site.profile.tls(), stand.site.worker.config
    with EchoServer(config, door=False) as own, Connection(own.target, tls, room=_SIZE * 3 // 2) as to_own:
        with report.doing(f"{_SIZE // _MB} MB, {pairs} pairs"):
            clock = CpuClock({**stand.echo.pids, "own": own.pids["echo"]})
            before = clock.read()
            found = paired(lambda: _rate(stand.to_echo, large), lambda: _rate(to_own, large), pairs=pairs)
            spent = {name: now - before[name] for name, now in clock.read().items()}
        with report.doing(f"{calls} small calls"):
            times = [(_ms(stand.to_echo, small), _ms(to_own, small)) for _ in range(calls)]
    gigabytes = found.runs * large.megabytes / 1000
    report.table(
        "The same echo",
        ("", "behind the door", "gRPC's own TLS", "ratio"),
        [
            ("MB/s", found.subject.text(), found.peer.text(), found.ratio.text(places=2)),
            *(
                (f"small call, p{each} ms", *(f"{percentile(side, each):.2f}" for side in zip(*times, strict=True)), "")
                for each in (50, 99)
            ),
            (
                "CPU s/GB, echo and door",
                f"{(spent['echo'] + spent['door']) / gigabytes:.2f}",
                f"{spent['own'] / gigabytes:.2f}",
                "",
            ),
        ],
    )
    behind, alone = (list(side) for side in zip(*times, strict=True))
    figures = {
        "mb_per_s_door": found.subject.middle,
        "mb_per_s_own_tls": found.peer.middle,
        "p50_ms_door": percentile(behind, 50),
        "p50_ms_own_tls": percentile(alone, 50),
        "cpu_s_per_gb_door": (spent["echo"] + spent["door"]) / gigabytes,
        "cpu_s_per_gb_own_tls": spent["own"] / gigabytes,
    }
    return figures, {"door": found.ratio.middle, "cpu": spent["own"] / (spent["echo"] + spent["door"])}


def _rate(connection: Connection, prepared: Prepared) -> float:
    rate = prepared.megabytes / connection.call(prepared)
    verify_echo(connection, prepared)
    return rate


def _ms(connection: Connection, prepared: Prepared) -> float:
    seconds = connection.call(prepared)
    verify_echo(connection, prepared)
    return seconds * 1000
