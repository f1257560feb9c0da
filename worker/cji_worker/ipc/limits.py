"""Sizes that both ends of a ring must agree on."""

from typing import Final

SLOTS: Final = 4
"""Slots per direction: the whole window of a job."""

SLOT_BYTES: Final = (1 << 20) + 4096
"""One segment with the header of its stream, rounded up to a page."""
