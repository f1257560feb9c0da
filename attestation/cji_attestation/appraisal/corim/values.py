"""`CorimValues`: reference values that a CoRIM states, and how several statements become one list.

A CoRIM states alternatives, each whole. Our reference values are lists, one for each field, so two alternatives about
one ID key allow their mixtures as well. Levels are not mixed: two for one processor are refused.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final, TypeVar, get_args

import msgspec

from cji_attestation.appraisal.advisories import Product, Stepping
from cji_attestation.appraisal.azure import IdKey, Mrtd
from cji_attestation.appraisal.corim.refusal import refused
from cji_attestation.appraisal.reference import TcbFloor, TcbStatus

K = TypeVar("K")
V = TypeVar("V")
STATUSES: Final = frozenset(get_args(TcbStatus))


class Stated(msgspec.Struct, frozen=True, kw_only=True):
    """The statements of one reference triple. `left_out` names what it states and no reference value can hold."""

    measurements: tuple[str, ...] = ()
    id_keys: tuple[IdKey, ...] = ()
    floors: dict[Stepping, TcbFloor] = {}
    mrtds: tuple[Mrtd, ...] = ()
    tcb_statuses: tuple[TcbStatus, ...] = ()
    tcb_evaluation: int | None = None
    left_out: tuple[str, ...] = ()


class CorimValues(Stated, frozen=True, kw_only=True):
    """The values of a whole CoRIM, and what it says about itself. `signer` is empty for one without a signature."""

    id: str
    profile: str
    signer: str
    sha384: bytes
    begins: datetime | None
    ends: datetime | None


def merged(stated: Iterable[Stated]) -> Stated:
    """All statements together; CONFIG_INVALID "corim" where two of them exclude each other."""
    found = tuple(stated)
    numbers = {one.tcb_evaluation for one in found} - {None}
    statuses = {one.tcb_statuses for one in found} - {()}
    if len(numbers) > 1 or len(statuses) > 1:
        raise refused("two different TCB evaluation numbers, or lists of TCB statuses")
    return Stated(
        measurements=_distinct(value for one in found for value in one.measurements),
        id_keys=_id_keys(key for one in found for key in one.id_keys),
        floors=_agreed(one.floors for one in found),
        mrtds=_distinct(value for one in found for value in one.mrtds),
        tcb_statuses=next(iter(statuses), ()),
        tcb_evaluation=next(iter(numbers), None),
        left_out=_distinct(value for one in found for value in one.left_out),
    )


def _distinct(values: Iterable[V]) -> tuple[V, ...]:
    found: list[V] = []
    for value in values:
        if value not in found:
            found.append(value)
    return tuple(found)


def _agreed(tables: Iterable[Mapping[K, V]]) -> dict[K, V]:
    found: dict[K, V] = {}
    for table in tables:
        for key, value in table.items():
            if found.setdefault(key, value) != value:
                raise refused(f"two different levels of {key}")
    return found


def _id_keys(keys: Iterable[IdKey]) -> tuple[IdKey, ...]:
    """One entry for each key: the lists joined, the lowest guest SVN for each product."""
    found: dict[str, IdKey] = {}
    for key in keys:
        known = found.get(key.digest)
        found[key.digest] = key if known is None else _joined(known, key)
    return tuple(found.values())


def _joined(one: IdKey, other: IdKey) -> IdKey:
    least: dict[Product, int] = dict(one.least_guest_svn)
    for product, svn in other.least_guest_svn.items():
        least[product] = min(svn, least.get(product, svn))
    return msgspec.structs.replace(
        one,
        least_guest_svn=least,
        family_ids=_distinct((*one.family_ids, *other.family_ids)),
        image_ids=_distinct((*one.image_ids, *other.image_ids)),
        policies=_distinct((*one.policies, *other.policies)),
    )
