"""The base of all messages."""

import msgspec


class Message(msgspec.Struct, frozen=True, tag=True, forbid_unknown_fields=True):
    """A member of a closed tagged union; the tag is the class name."""
