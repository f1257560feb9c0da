"""The keys that prove entries of the pool ledger: one for each key version that was released to this process.

They are kept until the process ends, also when the key itself is dropped: they open nothing, and a job whose key was
revoked is to be given up with a failure receipt.
"""

from collections.abc import Iterable

from cji_core.format.envelope import UnwrappingKey, ledger_key


class LedgerKeys:
    """In the secret heap; for the main thread."""

    def __init__(self, configured: Iterable[str]) -> None:
        """`configured` are the ids of all key versions of this worker."""
        self._configured = frozenset(configured)
        self._keys: dict[str, bytes] = {}

    def learn(self, kek_id: str, private: UnwrappingKey) -> None:
        """Keep the ledger key of a key version that was released."""
        if kek_id not in self._keys:
            self._keys[kek_id] = ledger_key(private)

    def key(self, kek_id: str) -> bytes | None:
        """The ledger key, if the version was released to this process."""
        return self._keys.get(kek_id)

    def configured(self, kek_id: str) -> bool:
        """Whether this key version is one of this worker's."""
        return kek_id in self._configured
