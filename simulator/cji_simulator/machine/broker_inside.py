"""The broker of the booted image under a simulation's trust: `python broker_inside.py TRUST FOLDER`.

All code is the image's own. Only the trust, which production compiles in, differs.
"""

import sys
from pathlib import Path

from cji_attestation import Trust
from cji_core.documents import decode
from cji_worker.broker.__main__ import main

if __name__ == "__main__":
    trust = decode(Path(sys.argv.pop(1)).read_bytes(), Trust, limit=1 << 20)
    main(trust)
