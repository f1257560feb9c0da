"""A pool ledger in memory: its container, its thread, and the exchanges of workers with it."""

import asyncio
import threading
from datetime import UTC, datetime
from typing import Any, Final

from cji_core.format.envelope import UnwrappingKey
from cji_core.pool.errors import BlobAbsentError
from cji_worker.keyholder.ledger_keys import LedgerKeys
from cji_worker.keyholder.pool_exchanges import Entrant, JobOfPool, PoolExchanges
from cji_worker.keyholder.pool_ledger import Operation, PoolLedger, Reply
from tests.support.rsa_keys import rsa_key

KEK: Final = "https://v.vault.azure.net/keys/cmk/" + "ab" * 16
JOB: Final = JobOfPool(job="ab" * 16, header_sha384="0a" * 48, submitter="metro", kek_id=KEK)
_CMK: Final = rsa_key(bits=3072)


class MemoryLedger:
    """A container: create if absent, as Azure Storage does."""

    def __init__(self) -> None:
        self.found: dict[str, bytes] = {}
        self.date: datetime | None = datetime(2026, 1, 1, 12, tzinfo=UTC)
        self.fault: Exception | None = None
        self.lost: int = 0
        """Creations whose answers are lost."""
        self._lock = threading.Lock()

    def create(self, name: str, data: bytes) -> bool:
        if self.fault is not None:
            raise self.fault
        with self._lock:
            created = name not in self.found
            self.found.setdefault(name, data)
        if self.lost:
            self.lost -= 1
            return False  # asked again, it is there
        return created

    def read(self, name: str, *, most: int) -> bytes:
        if self.fault is not None:
            raise self.fault
        if name not in self.found:
            raise BlobAbsentError
        assert len(self.found[name]) <= most
        return self.found[name]


class AtOnce(PoolLedger):
    """Performs operations where they are asked for."""

    def ask(self, operation: Operation, reply: Reply) -> None:
        super().ask(operation, reply)
        self.step(self._waiting.get_nowait())


def ledger_keys(*, held: bool = True, configured: bool = True) -> LedgerKeys:
    """Those of a worker with one key version."""
    keys = LedgerKeys([KEK] if configured else [])
    if held:
        keys.learn(KEK, UnwrappingKey(_CMK))
    return keys


def exchanges(blobs: Any, number: int = 1, *, tries: int = 3, keys: LedgerKeys | None = None) -> PoolExchanges:
    """Those of a worker with this number."""
    entrant = Entrant(trail=f"{number:096x}", receipt_key="k" * 43)
    return PoolExchanges(AtOnce(lambda: blobs, seconds=10), keys or ledger_keys(), entrant, tries=tries)


async def settled(rounds: int = 400) -> None:
    """Until every answer has been taken."""
    for _ in range(rounds):
        await asyncio.sleep(0)
