"""Overwrite the vector registers of this thread.

memmove leaves the last bytes that it moved in vector registers, and a core or a debugger shows registers. Copies of
zeros take the same paths through glibc's memmove as copies of records, and so overwrite every register that these use
(sysdeps/x86_64/multiarch/memmove-vec-unaligned-erms.S). The path depends on the size in vectors of 16, 32 or 64 bytes:
up to eight of them at once, or a loop with nine registers up to the size from which `rep movsb` moves.
"""

from typing import Final

_SIZES: Final = (128, 256, 512, 1024, 2048, 4096)
_zeros: Final = memoryview(bytes(max(_SIZES)))
_target: Final = memoryview(bytearray(max(_SIZES)))


def overwrite_registers() -> None:
    """Leave zeros in the registers that memmove uses; for a thread that is about to wait."""
    for size in _SIZES:
        _target[:size] = _zeros[:size]
