"""Entries of a pool's floors: what each demands of the machines of the pool.

An entry is the signed head of a bundle (`cji_attestation.bundle.head`), in a container of Blob Storage where operators
create and nobody replaces. Entries have dense numbers from 1. Anything else takes a number and counts nothing.
"""

from cji_attestation.bundle.errors import BundleRefused
from cji_attestation.bundle.head import read_head
from cji_attestation.bundle.signatures import Accepted, Rank, rank

NONE: Rank = Rank(0, 0)
"""Below every bundle."""


def demanded(entry: bytes, accepted: Accepted, *, pool: str) -> Rank:
    """The rank that an entry demands of a machine whose image has these keys; `NONE` if it counts nothing there."""
    try:
        head = read_head(entry)
        if head.manifest.pool == pool:
            return rank(head, accepted)
    except BundleRefused:
        pass
    return NONE
