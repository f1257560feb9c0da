"""Root in the guest, or whoever owns the disk, makes the past of a stopped worker disappear.

    python -m tests.adversarial.peers.rolled_back_trail keep TRAIL STORE      a backup of the trail and of its ledger
    ... restore TRAIL STORE [--trail-only]                                    that backup takes the place of both
    ... cut TRAIL LINES [--trail-only]                                        the last lines are gone
    ... undefine TCTI INDEX                                                   the counter is gone

Without `--trail-only` the ledger goes along: it is restored too, or removed so that it is built from what is left.
"""

import argparse
import os
import shutil
import sys
from pathlib import Path

from tpm2_pytss import ESAPI

_PARTS = ("", ".ledger", ".ledger-wal")


def keep(trail: Path, store: Path) -> None:
    store.mkdir()
    for part in _PARTS:
        source = trail.with_name(trail.name + part)
        if source.exists():
            shutil.copy2(source, store / f"trail{part}")


def restore(trail: Path, store: Path, *, trail_only: bool) -> None:
    """Into the same file, as a backup program does; its identity does not change."""
    with trail.open("r+b") as file:
        file.truncate()
        file.write((store / "trail").read_bytes())
    if not trail_only:
        _remove_ledger(trail)
        for part in _PARTS[1:]:
            if (store / f"trail{part}").exists():
                shutil.copy2(store / f"trail{part}", trail.with_name(trail.name + part))


def cut(trail: Path, lines: int, *, trail_only: bool) -> None:
    kept = trail.read_bytes().splitlines(keepends=True)[:-lines]
    os.truncate(trail, sum(map(len, kept)))
    if not trail_only:
        _remove_ledger(trail)


def undefine(tcti: str, index: int) -> None:
    with ESAPI(tcti) as tpm:
        tpm.nv_undefine_space(tpm.tr_from_tpmpublic(index))


def _remove_ledger(trail: Path) -> None:
    for part in _PARTS[1:]:
        trail.with_name(trail.name + part).unlink(missing_ok=True)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("act", choices=["keep", "restore", "cut", "undefine"])
    parser.add_argument("first")
    parser.add_argument("second")
    parser.add_argument("--trail-only", action="store_true")
    given = parser.parse_args()
    match given.act:
        case "keep":
            keep(Path(given.first), Path(given.second))
        case "restore":
            restore(Path(given.first), Path(given.second), trail_only=given.trail_only)
        case "cut":
            cut(Path(given.first), int(given.second), trail_only=given.trail_only)
        case _:
            undefine(given.first, int(given.second))
    return 0


if __name__ == "__main__":
    sys.exit(main())
