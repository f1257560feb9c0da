"""Overwrite the vector registers of this thread.

memmove leaves the last bytes that it moved in vector registers, and a core or a debugger shows registers. Copies of
zeros of 512 and of 4096 bytes take the same paths through glibc's memmove as copies of records, and so overwrite every
register that these use (sysdeps/x86_64/multiarch/memmove-vec-unaligned-erms.S: up to eight vectors, or four at a time).
"""

from typing import Final

__all__ = ["overwrite_registers"]

_SIZES: Final = (512, 4096)
_zeros: Final = memoryview(bytes(max(_SIZES)))
_target: Final = memoryview(bytearray(max(_SIZES)))


def overwrite_registers() -> None:
    """Leave zeros in the registers that memmove uses; for a thread that is about to wait."""
    for size in _SIZES:
        _target[:size] = _zeros[:size]
