"""PCR 15 as it is after this worker's start, for `futile-start`, which no other start in this boot gets past.

The value is public: every evidence of this worker has it. A machine without the folder, because the unit
cji-futile.service is not installed there, has no file; a start in vain then ends as E48 says.
"""

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

FOLDER: Final = Path("/run/cji-start")
_NAME: Final = "pcr15"


def keep_start(value: bytes, *, folder: Path = FOLDER) -> None:
    """Write the value, whole or not at all. Without the folder, or the right to it, nothing."""
    with suppress(OSError):
        new = folder / f"{_NAME}.new"
        new.write_text(value.hex(), encoding="ascii")
        os.chmod(new, 0o644)
        os.replace(new, folder / _NAME)
