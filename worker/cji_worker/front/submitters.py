"""The callers, and their shares of the open calls of each kind. Pure: no clock, no socket, no log.

Contract and invariants
* Identity comes before resources: a caller that the policy does not list gets no call of any kind but HEALTH. Before
  the keyholder has sent its list, there is no submitter.
* The calls of one kind share a pool. A caller may open another call while it has fewer open than are free: dynamic
  threshold with alpha = 1 (Choudhury and Hahne, "Dynamic queue length thresholds for shared-memory packet switches",
  IEEE/ACM Transactions on Networking 6(2), 1998). One caller alone gets half of the pool, n greedy callers get
  1/(n + 1) of it each, and as much stays free for the next one.
* Each front has an equal part of the pools, and a caller its share of each part: no more of all parts together than of
  whole pools, whichever front it reaches. The door gives a call to the front with the fewest, so it gets no less.
* The table has an entry per caller with an open call, so it is never larger than the pools.
"""

import enum
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Final

from cji_core.errors import Reason, Refusal, Stage
from cji_core.format.job import identity_sha256


class Kind(enum.Enum):
    """A kind of call, with a pool of its own."""

    RUN = enum.auto()
    ATTEST = enum.auto()
    ASK = enum.auto()  # Describe, GetReceipt
    HEALTH = enum.auto()


POOLS: Final[Mapping[Kind, int]] = MappingProxyType({Kind.RUN: 128, Kind.ATTEST: 64, Kind.ASK: 64, Kind.HEALTH: 64})
"""Maximum number of concurrent calls of each kind, in all fronts together."""


class Submitters:
    """The submitters of the policy by the SHA-256 of their certificate's URI, and their open calls."""

    def __init__(self, *, fronts: int = 1) -> None:
        """`fronts` is the number of fronts, of which this is one."""
        self._known: frozenset[bytes] | None = None
        self._open: dict[Kind, dict[str, int]] = {kind: {} for kind in Kind}
        self._free = {kind: places // fronts // 2 * 2 for kind, places in POOLS.items()}  # halves must not round up

    def replace(self, identities: Collection[bytes]) -> None:
        """Take the keyholder's list in place of the earlier one; open calls stay open."""
        self._known = frozenset(identities)

    def open_calls(self, kind: Kind) -> int:
        """Calls of this kind that are open, all callers together."""
        return sum(self._open[kind].values())

    @contextmanager
    def call(self, identity: str, kind: Kind, *, listed: bool = True) -> Iterator[None]:
        """Hold one call; raises NOT_READY without a list, POLICY_DENIED for a stranger, OVERLOADED above the share.

        A caller that is not `listed` needs no place in the policy: the fleet process, which submits nothing of its own.
        """
        if listed and kind is not Kind.HEALTH:
            self._require_known(identity)
        mine = self._open[kind]
        if mine.get(identity, 0) >= self._free[kind]:
            raise Refusal(Reason.OVERLOADED, stage=Stage.OPEN)
        mine[identity] = mine.get(identity, 0) + 1
        self._free[kind] -= 1
        try:
            yield
        finally:
            self._free[kind] += 1
            mine[identity] -= 1
            if not mine[identity]:
                del mine[identity]

    def _require_known(self, identity: str) -> None:
        if self._known is None:
            raise Refusal(Reason.NOT_READY, stage=Stage.OPEN)
        if identity_sha256(identity) not in self._known:
            raise Refusal(Reason.POLICY_DENIED, stage=Stage.OPEN)
