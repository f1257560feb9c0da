"""`cji` of the booted image under a simulation's trust: `python worker_inside.py TRUST VERB ...`.

All code is the image's own, verified against its manifest. Only the trust, which production compiles in, differs.
"""

import sys
from pathlib import Path

from cji_attestation import Trust
from cji_core.command import build
from cji_core.documents import decode


def main() -> None:
    """Run `cji` with the trust of a file."""
    trust = decode(Path(sys.argv[1]).read_bytes(), Trust, limit=1 << 20)
    build(trust)(sys.argv[2:], prog_name="cji")


if __name__ == "__main__":
    main()
