"""Several jobs at once in a program with an event loop.

python examples/client/event_loop.py client.toml job.toml FILE...
"""

import asyncio
import sys

from cji_client import AsyncConnection, connect_async


async def rows(worker: AsyncConnection, spec: str, file: str) -> int:
    """The number of rows in the result of one job."""
    with await worker.run(file, spec) as result:
        return int(result.table().num_rows)


async def main(profile: str, spec: str, *files: str) -> None:
    """Run one job for each file."""
    async with connect_async(profile) as worker:
        for file, count in zip(files, await asyncio.gather(*(rows(worker, spec, file) for file in files)), strict=True):
            print(f"{file}: {count} rows")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
