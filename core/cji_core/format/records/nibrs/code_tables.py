"""Code tables over whole columns: fixed-width codes of one to three characters to small numbers.

A value becomes the position of its code in the table, BLANK_VALUE when it is all blanks, BAD_VALUE otherwise.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from cji_core.format.records.column import Bytes

Codes = npt.NDArray[np.int16]

BLANK_VALUE: Final = -1
BAD_VALUE: Final = -2
_DIGIT, _UPPER, _SPACE, _OTHER = 0, 10, 36, 37
_SYMBOLS: Final = 38  # 0-9, A-Z, blank, anything else: three characters make 54 872 keys, which stay in the cache


def _symbols() -> npt.NDArray[np.int32]:
    symbols = np.full(256, _OTHER, np.int32)
    symbols[ord("0") : ord("9") + 1] = np.arange(_DIGIT, _UPPER)
    symbols[ord("A") : ord("Z") + 1] = np.arange(_UPPER, _SPACE)
    symbols[ord(" ")] = _SPACE
    return symbols


_SYMBOL: Final = _symbols()
_PAIR: Final = (_SYMBOL + _SYMBOLS * _SYMBOL[:, None]).ravel().astype(np.uint16)
"""The key of two bytes, read as one little-endian number."""
_THIRD: Final = (_SYMBOLS**2 * _SYMBOL).astype(np.uint16)
_WIDTH: Final = 3


@dataclass(frozen=True, slots=True, eq=False)
class CodeTable:
    """Codes of one width, made of the characters 0-9 and A-Z."""

    codes: Sequence[str]
    width: int = field(init=False)
    _of_key: Codes = field(init=False, repr=False)

    def __post_init__(self) -> None:
        (width,) = {len(code) for code in self.codes}
        if width > _WIDTH or len(set(self.codes)) < len(self.codes):
            raise ValueError("codes of one to three characters, each once")
        of_key = np.full(_SYMBOLS**width, BAD_VALUE, np.int16)
        object.__setattr__(self, "width", width)
        object.__setattr__(self, "_of_key", of_key)
        for position, code in enumerate([" " * width, *self.codes], BLANK_VALUE):
            of_key[self._keys(np.frombuffer(code.encode(), np.uint8)[None])] = position
        if width == 1:  # then a byte itself can be the key
            object.__setattr__(self, "_of_key", of_key[_SYMBOL])

    def _keys(self, values: Bytes) -> npt.NDArray[np.uint16]:
        if self.width == 1:
            return _SYMBOL[values[:, 0]].astype(np.uint16)
        keys: npt.NDArray[np.uint16] = _PAIR[values[:, :2].view("<u2")[:, 0]]
        return keys + _THIRD[values[:, 2]] if self.width == _WIDTH else keys

    def lookup(self, values: Bytes) -> Codes:
        """int16[n]: the position of each of the values uint8[n, width] in the table, or BLANK_VALUE or BAD_VALUE."""
        return self._of_key[values[:, 0] if self.width == 1 else self._keys(values)]
