"""`cji` of the booted image under a simulation's trust: `python worker_inside.py TRUST VERB ...`.

All code is the image's own, verified against its manifest. Only the trust, which production compiles in, differs.
"""

import sys
from pathlib import Path

import msgspec

from cji_attestation import Trust
from cji_core.command import build


def main() -> None:
    """Run `cji` with the trust of a file."""
    trust = msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=Trust)
    build(trust)(sys.argv[2:], prog_name="cji")


if __name__ == "__main__":
    main()
