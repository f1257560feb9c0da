"""A data frame in, a data frame out.

python examples/client/frames.py client.toml job.toml people.csv
"""

import sys

import pyarrow.csv

from cji_client import Phase, Progress, connect
from cji_client.errors import ColumnError


def show(event: Progress) -> None:
    """Print the worker's steps."""
    if event.phase is Phase.RUNNING:
        print(f"{event.stage}: {event.per_cent} %", file=sys.stderr)


def main(profile: str, spec: str, records: str) -> None:
    """Run one job on records that are in memory."""
    table = pyarrow.csv.read_csv(records)
    with connect(profile) as worker:
        try:
            result = worker.run(table, spec, progress=show)
        except ColumnError as error:
            sys.exit(f"{error}\ncolumns: {', '.join(error.columns)}\n{error.remedy}")
        with result:
            print(result.table().slice(0, 5))
            print(f"receipt of {result.receipt.claims.worker} for {result.receipt.claims.volumes.rows_in} rows")


if __name__ == "__main__":
    main(*sys.argv[1:])
