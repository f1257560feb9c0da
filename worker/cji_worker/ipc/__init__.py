"""The code that the processes of one worker share: typed messages, passed descriptors, the ciphertext ring.

Messages carry identifiers, sizes, digests, ciphertext headers and reasons. A key never crosses a socket: it
passes through a page of secret memory that both ends map (`keyslot`).
"""

from cji_worker.ipc.boot import Boot, receive_boot, send_boot
from cji_worker.ipc.channel import Channel, ChannelClosed
from cji_worker.ipc.handover import hand_over, take_over
from cji_worker.ipc.keyslot import SLOT_PAGE_BYTES, KeySlot
from cji_worker.ipc.ring import Ring, new_ring
from cji_worker.ipc.witness import PartCounter, PartDigester

__all__ = [
    "SLOT_PAGE_BYTES",
    "Boot",
    "Channel",
    "ChannelClosed",
    "KeySlot",
    "PartCounter",
    "PartDigester",
    "Ring",
    "hand_over",
    "new_ring",
    "receive_boot",
    "send_boot",
    "take_over",
]
