"""An operator's review: the table in force and the risk acceptances, read from the signed files of a configuration."""

import functools
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Final, TypeVar

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec

from cji_attestation.appraisal.advisories.acceptance import Acceptance, sound_acceptance
from cji_attestation.appraisal.advisories.evaluate import AdvisoryFinding
from cji_attestation.appraisal.advisories.signed import Kind, read_statement, sign_statement, signer_key
from cji_attestation.appraisal.advisories.table import SHIPPED, Advisory, AdvisoryTable, day_of, sound_table
from cji_core.documents import OneForm

T = TypeVar("T")
MOST_ACCEPTANCES: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """The rows and acceptances in force, and the defects of files that are not."""

    rows: tuple[Advisory, ...]
    reviewed: date
    expires: date
    own: bool  # the operator's, not the one shipped
    acceptances: tuple[Acceptance, ...]
    defects: tuple[str, ...]

    def in_time(self, now: datetime) -> bool:
        """Whether the table is in force. A clock before the operator's own review was set back.

        The shipped table has no first day: evidence from before it is appraised with what is known since.
        """
        return day_of(now) <= self.expires and not (self.own and day_of(now) < self.reviewed)

    @property
    def until(self) -> datetime:
        """The first moment at which the table is not in force any more."""
        return _after(self.expires)

    def accepted_until(self, findings: Iterable[AdvisoryFinding]) -> datetime | None:
        """The first moment at which an acceptance under these findings has expired; None if there is none."""
        named = {one.accepted_by for one in findings}
        return min((_after(one.until) for one in self.acceptances if one.id in named), default=None)


@functools.lru_cache(maxsize=8)
def read_review(table: bytes | None, acceptances: tuple[bytes, ...], signers: tuple[str, ...]) -> Review:
    """Read the signed files under the signers' canonical JWKs, which are sound. A defective file has no effect."""
    keys = tuple(map(signer_key, signers))
    defects: list[str] = []
    own = None
    if table is not None:
        try:
            own = read_table(table, keys)
        except ValueError as error:
            defects.append(f"table: {error}")
    by_id: dict[str, Acceptance] = {}
    for number, data in enumerate(acceptances, 1):
        try:
            one = read_acceptance(data, keys)
            if one.id in by_id:
                raise ValueError(f"a second acceptance {one.id}")
            by_id[one.id] = one
        except ValueError as error:
            defects.append(f"acceptance {number}: {error}")
    in_force = own or SHIPPED
    return Review(
        rows=in_force.merged(SHIPPED),
        reviewed=in_force.reviewed,
        expires=in_force.expires,
        own=own is not None,
        acceptances=tuple(by_id.values()),
        defects=tuple(defects),
    )


def read_table(data: bytes, keys: tuple[ec.EllipticCurvePublicKey, ...]) -> AdvisoryTable:
    """A signed table; ValueError with the reason if it is not one."""
    found = _read("cji-advisories", data, keys, AdvisoryTable)
    if not sound_table(found):
        raise ValueError("the table is not sound")
    return found


def read_acceptance(data: bytes, keys: tuple[ec.EllipticCurvePublicKey, ...]) -> Acceptance:
    """A signed risk acceptance; ValueError with the reason if it is not one."""
    found = _read("cji-acceptance", data, keys, Acceptance)
    if not sound_acceptance(found):
        raise ValueError("the acceptance is not sound")
    return found


def sign_table(table: AdvisoryTable, key: ec.EllipticCurvePrivateKey) -> bytes:
    """The signed file of a table; ValueError for one that no reader would take."""
    if not sound_table(table):
        raise ValueError("the table is not sound")
    return sign_statement("cji-advisories", msgspec.json.encode(table), key)


def sign_acceptance(acceptance: Acceptance, key: ec.EllipticCurvePrivateKey) -> bytes:
    """The signed file of a risk acceptance; ValueError for one that no reader would take."""
    if not sound_acceptance(acceptance):
        raise ValueError("the acceptance is not sound")
    return sign_statement("cji-acceptance", msgspec.json.encode(acceptance), key)


def _after(day: date) -> datetime:
    return datetime.combine(day + timedelta(days=1), time(), UTC)


def _read(kind: Kind, data: bytes, keys: tuple[ec.EllipticCurvePublicKey, ...], of: type[T]) -> T:
    payload = read_statement(kind, data, keys)
    return OneForm(of, limit=len(payload)).decode(payload)
