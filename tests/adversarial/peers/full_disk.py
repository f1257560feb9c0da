"""A disk that fills up under a running worker, and has room again.

python -m tests.adversarial.peers.full_disk fill FOLDER     take every free byte
... free FOLDER                                             give them back
... limit PID BYTES                                         no file of this process may grow beyond that (EFBIG)
... unlimit PID                                             until now
"""

import argparse
import resource
import sys
from pathlib import Path

_FILLER = "filler"


def fill(folder: Path) -> None:
    with (folder / _FILLER).open("wb", buffering=0) as file:
        for size in (1 << 20, 1 << 12, 1):
            try:
                while file.write(bytes(size)):
                    pass
            except OSError:
                continue


def free(folder: Path) -> None:
    (folder / _FILLER).unlink()


def limit(pid: int, size: int) -> None:
    """The soft limit: an ordinary user may raise it again."""
    _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (size if size >= 0 else hard, hard))


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("act", choices=["fill", "free", "limit", "unlimit"])
    parser.add_argument("target")
    parser.add_argument("size", nargs="?", type=int, default=-1)
    given = parser.parse_args()
    match given.act:
        case "fill":
            fill(Path(given.target))
        case "free":
            free(Path(given.target))
        case _:
            limit(int(given.target), given.size)
    return 0


if __name__ == "__main__":
    sys.exit(main())
