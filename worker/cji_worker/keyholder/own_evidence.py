"""Evidence of this start beside the trail: who verifies its checkpoints and receipts learns the receipt key from it.

    receipt-evidence/THUMBPRINT.json      an evidence.json, as a submitter would have it, for a nonce of this process

The deliverer hands it to the agency's log, which appraises it by its own reference values. So nobody has to bring the
keys of a start to the machine, or into a bundle. Evidence of earlier starts stays for checkpoints of theirs that are
still to be delivered, `MOST_STARTS` of them.

A file that cannot be made or written costs no job: the deliverer reports checkpoints of an unknown key, and the
custody thread tries again, more seldom each time (`schedule`).
"""

import errno
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import Final

from cji_attestation.evidence_file import MAX_FILE_BYTES, EvidenceFile
from cji_core.durable import replace_file
from cji_core.log import log
from cji_core.strict import b64url
from cji_core.trail.delivered import own_evidence

MOST_STARTS: Final = 64
_FOLDER: Final = 0o750


def make_folder(trail: Path) -> None:
    """Make the folder, which a confined process cannot; tmpfiles.d makes that of the unit, for the trail's group."""
    folder = own_evidence(trail)
    with suppress(OSError):
        folder.mkdir(mode=_FOLDER)
        os.chmod(folder, stat.S_IMODE(folder.stat().st_mode) | _FOLDER)


class OwnEvidence:
    """Writes one file for the start of this process."""

    def __init__(self, trail: Path, *, receipt_jwk: str, receipt_key: bytes) -> None:
        """`receipt_key` is the thumbprint of the key whose JWK goes into the file."""
        self._folder, self.receipt_jwk = own_evidence(trail), receipt_jwk
        self.path = self._folder / f"{b64url(receipt_key)}.json"

    def write(self, file: EvidenceFile) -> bool:
        """Write the file, on disk and whole, or return False; the group of the trail may read it."""
        data = file.encode()
        try:
            if len(data) > MAX_FILE_BYTES:
                raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))  # no reader takes it
            replace_file(self.path, data)
            self._prune()
        except OSError as error:
            log("evidence not written", error=type(error).__name__)
            return False
        return True

    def _prune(self) -> None:
        found = sorted(self._folder.glob("*.json"), key=lambda path: path.stat().st_mtime)
        for path in (*found[:-MOST_STARTS], *self._folder.glob(".*")):  # and what a crash left
            with suppress(FileNotFoundError):
                path.unlink()
