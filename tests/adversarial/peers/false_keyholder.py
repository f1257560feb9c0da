"""A keyholder that states something else in a receipt than what the two witnesses found.

Only the job's own submitter can find that out: both halves of its machine were honest. A job names the lie by its
originating ORI; others are honest.
"""

import os
import sys
from typing import Final

from msgspec.structs import replace

from cji_core.jose import SigningKey
from cji_core.trail import Claims
from cji_core.trail.receipts import sign
from cji_worker.ipc import receive_boot
from cji_worker.keyholder import __main__ as keyholder
from cji_worker.keyholder import receipts

LIES: Final = {"bytes_in": "GA0600001", "bytes_out": "GA0600002", "worker": "GA0600003"}
"""The false claim or count, and the ORI of the jobs that have it."""


def _false(claims: Claims) -> Claims:
    volumes = claims.volumes
    match claims.originating_ori:
        case "GA0600001":
            return replace(claims, volumes=replace(volumes, bytes_in=volumes.bytes_in + 1))
        case "GA0600002":
            return replace(claims, volumes=replace(volumes, bytes_out=volumes.bytes_out + 1))
        case "GA0600003":
            return replace(claims, worker="worker-2")
    return claims


if __name__ == "__main__":

    def lying(claims: Claims, private: SigningKey) -> str:
        """As ever, of other claims."""
        return sign(_false(claims), private)

    receipts.sign = lying  # type: ignore[assignment,attr-defined]
    os._exit(keyholder.main(receive_boot(int(sys.argv[1]))))
