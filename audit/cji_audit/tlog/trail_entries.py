"""The entries of one trail in a monitor's copy of the log, for an examination of that trail."""

from dataclasses import dataclass
from pathlib import Path

from cji_audit.tlog.monitor import MonitorError, has_entries
from cji_audit.tlog.serving import alone
from cji_audit.tlog.store import LogStore
from cji_core.tlog.leaves import CheckpointLeaf, Leaf, LeafError, StatementLeaf, TrailDecision, decode_leaf
from cji_core.tlog.slots import identity_of
from cji_core.trail.chain import ChainError
from cji_core.trail.trail import opened
from cji_core.trail.witnesses.records import Offer


@dataclass(frozen=True, slots=True, kw_only=True)
class TrailEntries:
    """Its checkpoints since the last decision about it, and why it is frozen."""

    offers: tuple[Offer, ...] = ()
    frozen: str | None = None


def entries_in(monitor: Path, trail: Path, *, origin: str) -> TrailEntries:
    """The entries of this trail. Raises MonitorError for a file without entries, or a trail without its identity.

    A decision is where the trail goes on: entries before it may be of another history.
    """
    identity = _identity(trail)
    with alone(monitor):
        store = LogStore(monitor, origin=origin)
        try:
            if not has_entries(store):
                raise MonitorError("this monitor read hashes alone", remedy="Run it with the reader's token.")
            offers: list[Offer] = []
            for index in range(store.size):
                leaf = decode_leaf(store.entries(index, 1)[0])
                if isinstance(leaf, CheckpointLeaf) and leaf.trail == identity:
                    offers.append(Offer(previous=leaf.previous, consistency=leaf.consistency, note=leaf.note))
                elif (decided := _decision(leaf)) is not None and decided.trail == identity:
                    offers = [Offer(previous=0, consistency=(), note=decided.note)]
            slot = store.slot(identity)
        finally:
            store.close()
    return TrailEntries(offers=tuple(offers), frozen=None if slot is None else slot.frozen)


def _decision(leaf: Leaf) -> TrailDecision | None:
    decision = leaf.decision if isinstance(leaf, StatementLeaf) else None
    return decision if isinstance(decision, TrailDecision) else None


def _identity(trail: Path) -> str:
    try:
        with opened(trail) as found:
            if found.pruned is not None:
                return found.pruned.first_hash
            return identity_of(next(found.lines(), b""))
    except (LeafError, ChainError, OSError) as error:
        raise MonitorError(f"{trail} has no identity: {error}", remedy="Name a trail from its start.") from error
