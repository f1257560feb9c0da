"""`python -m cji_simulator STATE`: all servers in this process, until standard input ends.

It ends with the process that started it, because the pipe to it ends then.
"""

import argparse
import asyncio
import os
import signal
import sys
from pathlib import Path

from cji_simulator.hcl import Tee
from cji_simulator.server import serve


async def _until_input_ends(state: Path, *, limit: int, report_period: float, tee: Tee, ports: int | None) -> None:
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)

    def readable() -> None:
        if not os.read(sys.stdin.fileno(), 4096):
            loop.remove_reader(sys.stdin.fileno())
            stop.set()

    loop.add_reader(sys.stdin.fileno(), readable)
    await serve(state, limit=limit, report_period=report_period, tee=tee, ports=ports, stop=stop)


def main() -> None:
    """Parse the command line and serve."""
    parser = argparse.ArgumentParser(description="All services of one simulation, until standard input ends.")
    parser.add_argument("state", type=Path)
    parser.add_argument("--limit", type=int, default=10, help="vault creations and releases in ten seconds")
    parser.add_argument("--report-period", type=float, default=2.0, help="seconds between two hardware reports")
    parser.add_argument("--tee", choices=["snp", "tdx"], default="snp", help="the kind of machine")
    parser.add_argument("--ports", type=int, help="the first of fixed ports")
    arguments = parser.parse_args()
    os.environ["TSS2_LOG"] = "all+NONE"
    asyncio.run(
        _until_input_ends(
            arguments.state.absolute(),
            limit=arguments.limit,
            report_period=arguments.report_period,
            tee=arguments.tee,
            ports=arguments.ports,
        )
    )


if __name__ == "__main__":
    main()
