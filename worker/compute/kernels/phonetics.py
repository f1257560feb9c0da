"""Phonetic codes of words.

Soundex as the US National Archives describe it ("The Soundex Indexing System", archives.gov/research/census/soundex):
the first letter, then up to three digits for the consonants that follow; the same digit twice in a row counts once,
also across H and W and also for the first letter itself, but not across a vowel.
"""

from typing import Final

import numpy as np

from worker.compute.kernels.column import Bytes
from worker.compute.kernels.strings import Words

__all__ = ["soundex"]

_VOWEL, _SKIP = 0, 7
_DIGIT: Final = np.full(256, _SKIP, np.uint8)
for _digit, _letters in enumerate((b"AEIOUY", b"BFPV", b"CGJKQSXZ", b"DT", b"L", b"MN", b"R")):
    for _letter in _letters:
        _DIGIT[[_letter, _letter | 0x20]] = _digit


def soundex(words: Words) -> Bytes:
    """uint8[k, 4]: the code of each word in ASCII, padded with the digit 0; four NULs where there is no letter.

    ASCII letters of either case count, everything else is skipped.
    """
    columns = np.ascontiguousarray(words.data.T)
    k = len(words)
    code = np.zeros((4, k), np.uint8)
    found = np.zeros(k, np.uint8)  # how many of the four there are
    last = np.full(k, _SKIP, np.uint8)
    for letter in columns:
        digit = _DIGIT[letter]
        folded = letter & 0xDF
        is_letter = (folded >= ord("A")) & (folded <= ord("Z"))
        first = is_letter & (found == 0)
        code[0][first] = folded[first]
        new = (found > 0) & (found < 4) & (digit != _VOWEL) & (digit != _SKIP) & (digit != last)
        rows = np.flatnonzero(new)
        code[found[rows], rows] = digit[rows] + ord("0")
        found += first | new
        last = np.where((digit == _SKIP) & ~first, last, digit)
    code[1:][(code[1:] == 0) & (code[0] != 0)] = ord("0")
    return np.ascontiguousarray(code.T)
