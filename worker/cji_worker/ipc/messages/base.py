"""The base of all messages."""

from typing import ClassVar

import msgspec


class Message(msgspec.Struct, frozen=True, tag=True, forbid_unknown_fields=True):
    """A member of a closed tagged union; the tag is the class name."""

    descriptors: ClassVar[int] = 0
    """How many descriptors come with each message of this class; with any other number it is not a message."""


class Beat(Message, frozen=True):
    """The sender's main loop runs. Sent every `cji_worker.ipc.beats.BEAT_S` seconds."""
