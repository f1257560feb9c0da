"""The list of processors that an operator's machines run on: dedicated hosts, and Azure Local.

Evidence shows whose firmware runs, not whose machine it is: Azure Local runs Microsoft's paravisor on processors of
anybody. A list binds evidence to processors that somebody has seen. It is a signed statement of the kind that decides
about advisories, under one of the same keys, and it ends: after its last day every machine is refused.
"""

import functools
import re
from datetime import date, datetime
from typing import Final, Literal

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec

from cji_attestation.appraisal.advisories.signed import MOST_SIGNED_BYTES, read_statement, sign_statement, signer_key
from cji_attestation.appraisal.advisories.table import day_of, sound_ids
from cji_attestation.checks import Failure, Result, Skipped, compared, requirement
from cji_core.documents import OneForm

LONGEST_LIST: Final = 366  # days
MOST_CHIPS: Final = 4096
MOST_TEXT: Final = 1000  # characters
_CHIP: Final = re.compile(r"[0-9a-f]{128}|[0-9a-f]{32}", re.ASCII)  # CHIP_ID of SEV-SNP, PPID of TDX


class ChipList(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Processors, each by the CHIP_ID of its reports or the PPID of its quotes, from a day to the end of a day, UTC."""

    version: Literal[1]
    id: str
    chips: tuple[str, ...]
    since: date
    until: date
    decided_by: str


_FORM: Final = OneForm(ChipList, limit=MOST_SIGNED_BYTES)


def sound_chips(found: ChipList) -> bool:
    """Whether at least one processor is named, none twice, and none by zeros, for at most a year."""
    return (
        sound_ids((found.id,))
        and 0 < len(found.chips) <= MOST_CHIPS
        and len(set(found.chips)) == len(found.chips)
        and all(_CHIP.fullmatch(one) and set(one) != {"0"} for one in found.chips)
        and 0 <= (found.until - found.since).days <= LONGEST_LIST
        and 0 < len(found.decided_by.strip()) <= len(found.decided_by) <= MOST_TEXT
    )


def sign_chips(found: ChipList, key: ec.EllipticCurvePrivateKey) -> bytes:
    """The signed file of a list; ValueError for one that no reader would take."""
    if not sound_chips(found):
        raise ValueError("the list is not sound")
    return sign_statement("cji-chips", _FORM.encode(found), key)


@functools.lru_cache(maxsize=8)
def read_chips(data: bytes, signers: tuple[str, ...]) -> ChipList:
    """A signed list under one of these canonical JWKs; ValueError with the reason for anything else."""
    payload = read_statement("cji-chips", data, tuple(map(signer_key, signers)))
    found = _FORM.decode(payload)  # StrictError is a ValueError
    if not sound_chips(found):
        raise ValueError("the list is not sound")
    return found


def check_chip(chip: bytes, data: bytes | None, signers: tuple[str, ...], *, now: datetime) -> Result:
    """E56."""
    shown = chip.hex()
    if data is None:
        return Skipped("E56", f"no list of processors; this is {shown}")
    try:
        listed = read_chips(data, signers)
    except ValueError as error:
        return Failure("E56", f"the list of processors: {error}", requirement("E56"))
    if not listed.since <= day_of(now) <= listed.until:
        found = f"list {listed.id}, in force from {listed.since} to {listed.until}"
        return Failure("E56", found, f"a list in force at {now}")
    return compared(
        "E56",
        f"processor {shown} on list {listed.id}",
        holds=shown in listed.chips,
        found=f"processor {shown}",
        expected=f"one of {len(listed.chips)} on list {listed.id}",
    )
