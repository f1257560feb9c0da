"""A queue behind typed functions, by Microsoft's client; bounded as `cji_core.pool.store` is.

An object serves one thread. Source: REST API of Azure Storage, Get Messages, Update Message.
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from azure.core.credentials import TokenCredential
from azure.storage.queue import QueueClient

from cji_core.audiences import STORAGE
from cji_core.azure_client import AudienceCredential
from cji_core.pool.exchange import EXCHANGE_SECONDS, bounded, tried


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A leased message; `tries` counts the leases of this message until now, this one included.

    `sent` is when it was sent, in Unix seconds.
    """

    id: str
    pop_receipt: str
    text: str
    tries: int
    sent: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueState:
    """About how many messages there are, and the age of the oldest visible one in seconds, 0 if there is none."""

    length: int
    oldest_seconds: int


class Queue:
    """One queue."""

    def __init__(
        self,
        account_url: str,
        name: str,
        *,
        credential: TokenCredential,
        ca_file: str | None = None,
        seconds: float = EXCHANGE_SECONDS,
    ) -> None:
        """`credential` makes tokens for Azure Storage; no other audience is asked of it. Raises StartupError."""
        options = bounded(ca_file, seconds=seconds)
        self._queue = QueueClient(account_url, name, credential=AudienceCredential(credential, STORAGE), **options)

    def close(self) -> None:
        """Close the connections."""
        self._queue.close()

    def send(self, text: str, *, delay: float = 0.0) -> None:
        """Add a message that is visible after `delay` seconds, for ever. Raises StoreAwayError."""
        tried("queue", lambda: self._queue.send_message(text, visibility_timeout=int(delay), time_to_live=-1))

    def receive(self, *, lease: int) -> Message | None:
        """Lease the next message for `lease` seconds; None if none is visible. Raises StoreAwayError."""
        found = tried("queue", lambda: self._queue.receive_message(visibility_timeout=lease))
        return None if found is None else _message(found)

    def renew(self, message: Message, *, lease: float) -> Message:
        """Lease it for `lease` seconds from now; 0 gives it back. Raises LeaseLostError, StoreAwayError."""
        receipt = message.pop_receipt
        found = tried("ticket", lambda: self._queue.update_message(message.id, receipt, visibility_timeout=int(lease)))
        return replace(message, pop_receipt=str(found.pop_receipt))

    def delete(self, message: Message) -> None:
        """Remove a message that this object leased last. Raises LeaseLostError, StoreAwayError."""
        tried("ticket", lambda: self._queue.delete_message(message.id, message.pop_receipt))

    def state(self) -> QueueState:
        """Length and age. Raises StoreAwayError."""
        found = tried("queue", self._queue.get_queue_properties)
        oldest = tried("queue", lambda: self._queue.peek_messages(max_messages=1))
        age = 0.0
        if oldest and isinstance(since := oldest[0].inserted_on, datetime):
            age = (datetime.now(UTC) - since).total_seconds()
        return QueueState(length=int(found.approximate_message_count or 0), oldest_seconds=max(0, int(age)))


def _message(found: Any) -> Message:
    text = found.content if isinstance(found.content, str) else ""
    sent = int(found.inserted_on.timestamp()) if isinstance(found.inserted_on, datetime) else 0
    tries = int(found.dequeue_count or 1)
    return Message(id=str(found.id), pop_receipt=str(found.pop_receipt), text=text, tries=tries, sent=sent)
