"""The rules of a log over its store: by its policy, it is of trails or of releases."""

import contextlib

from cji_audit.tlog.store import LogStore
from cji_core.tlog.leaves import LeafError, decode_leaf
from cji_core.tlog.policy import Policy
from cji_core.tlog.releases import Releases
from cji_core.tlog.slots import Slots


def rules_of(policy: Policy, store: LogStore) -> Slots | Releases:
    """The rules as they are after the entries in the store, one of which may break them: a monitor has noted that."""
    if not policy.publishers:
        return Slots(store.slot, store.put_slot, operators=policy.operators, origin=policy.file.origin)
    found = Releases(policy)
    for index in range(store.size):
        (entry,) = store.entries(index, 1)
        with contextlib.suppress(LeafError):
            found.take(decode_leaf(entry))
    return found
