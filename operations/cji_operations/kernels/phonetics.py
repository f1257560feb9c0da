"""Phonetic codes of words: what sounds alike in English has one code.

Both take the ASCII letters of a word, in either case, and nothing else: O'BRIEN is OBRIEN.

Soundex as the US National Archives describe it ("The Soundex Indexing System", archives.gov/research/census/soundex):
the first letter, then up to three digits for the consonants that follow; the same digit twice in a row counts once,
also across H and W and also for the first letter itself, but not across a vowel.

NYSIIS, the code of the New York State Identification and Intelligence System: R. L. Taft, "Name Search Techniques"
(1970), in its full length (the original cuts at six).
"""

from typing import Final

import numpy as np

from cji_core.format.records.column import Bools, Bytes, Ints
from cji_operations.kernels import hashing
from cji_operations.kernels.strings import Words, fold

_VOWEL, _SKIP = 0, 7
_DIGIT: Final = np.full(256, _SKIP, np.uint8)  # H, W, and the padding
for _digit, _of_digit in enumerate((b"AEIOUY", b"BFPV", b"CGJKQSXZ", b"DT", b"L", b"MN", b"R")):
    _DIGIT[list(_of_digit)] = _digit
_ALPHABET: Final = 26
_ASCII: Final = 0x80
_IS_VOWEL: Final = np.isin(np.arange(256), list(b"AEIOU"))
_SOUND: Final = np.arange(256, dtype=np.uint8)
_SOUND[list(b"AEIOUQZMK")] = list(b"AAAAAGSNC")


def soundex(words: Words) -> Bytes:
    """uint8[k, 4]: the code of each word in ASCII, padded with the digit 0; four NULs where there is no letter."""
    letters, lengths = _letters(words)
    last = _DIGIT.take(letters[0])
    number, digits = np.zeros(len(words), np.uint16), np.zeros(len(words), np.uint8)  # three digits to the base of 8
    for letter in letters[1:]:
        digit = _DIGIT.take(letter)
        new = (digit != last) & (digit != _VOWEL) & (digit != _SKIP) & (digits < 3)
        number <<= new * np.uint16(3)
        number |= new * digit
        digits += new
        last = np.where(digit == _SKIP, last, digit)
    number <<= 3 * (3 - digits.astype(np.uint16))
    code = np.stack((letters[0], number >> 6, number >> 3 & 7, number & 7), axis=1).astype(np.uint8)
    code[:, 1:] += (lengths > 0)[:, None] * np.uint8(ord("0"))
    return code


def sound(words: Words) -> Bytes:
    """uint8[k, 4]: Soundex of plain words; of one in another alphabet, bytes from 0x80 on that are those of all of it.

    Four NULs where there is no letter of any alphabet.
    """
    code = soundex(words)
    other = np.flatnonzero((code[:, 0] == 0) & (words.data >= _ASCII).any(axis=1))
    if len(other):
        found = hashing.of_bytes(words.data[other])[:, None] >> (np.uint64(16) * np.arange(4, dtype=np.uint64))
        code[other] = (found & np.uint64(0x7F)).astype(np.uint8) | np.uint8(_ASCII)
    return code


def nysiis(words: Words) -> Bytes:
    """uint8[k, w]: the code of each word in ASCII letters, zero beyond its length.

    For the letter before an H or a W, the original counts, not its translation: BROWN is BRAON.
    """
    letters, lengths = _letters(words)
    _begin(letters, lengths)
    _end(letters, lengths)
    code, ends = _compact(_translate(letters, lengths))
    rows = np.arange(len(words))

    def last(back: int) -> Bytes:
        return np.where(ends >= back, code[ends - back, rows], 0)

    ends -= (last(1) == ord("S")) & (ends > 1)
    ay = np.flatnonzero((last(2) == ord("A")) & (last(1) == ord("Y")))
    ends[ay] -= 1
    code[ends[ay] - 1, ay] = ord("Y")
    ends -= (last(1) == ord("A")) & (ends > 1)
    code *= np.arange(len(code))[:, None] < ends
    return np.ascontiguousarray(code[: words.data.shape[1]].T)


def _letters(words: Words) -> tuple[Bytes, Ints]:
    """(uint8[w + 3, k]: the letters of each word as capitals, then zeros, three at least; int64[k]: how many)."""
    letters = np.zeros((words.data.shape[1] + 3, len(words)), np.uint8)
    letters[:-3] = fold(words.data).T
    is_letter = letters - np.uint8(ord("A")) < _ALPHABET
    if (is_letter != (letters != 0)).any():
        return _compact(letters * is_letter)
    return letters, words.lengths.copy()


def _compact(positions: Bytes) -> tuple[Bytes, Ints]:
    """(the bytes of each column of uint8[p, k] that are not 0, moved to its beginning; int64[k]: how many)."""
    dense, count = np.zeros_like(positions), np.zeros(positions.shape[1], np.int64)
    for byte in positions:
        rows = np.flatnonzero(byte)
        dense[count[rows], rows] = byte[rows]
        count += byte != 0
    return dense, count


def _text(letters: Bytes, position: int, text: bytes) -> Bools:
    """bool[k]: the words have this text at this position."""
    same: Bools = np.logical_and.reduce([letters[position + i] == byte for i, byte in enumerate(text)])
    return same


def _begin(letters: Bytes, lengths: Ints) -> None:
    kn = _text(letters, 0, b"KN")
    for text, instead in ((b"MAC", b"MCC"), (b"PH", b"FF"), (b"PF", b"FF"), (b"SCH", b"SSS")):
        letters[: len(text), _text(letters, 0, text)] = np.frombuffer(instead, np.uint8)[:, None]
    letters[0, letters[0] == ord("K")] = ord("C")
    letters[:-1, kn] = letters[1:, kn]
    lengths -= kn


def _end(letters: Bytes, lengths: Ints) -> None:
    rows = np.flatnonzero(lengths >= 2)
    ends = lengths[rows]
    pair = letters[ends - 2, rows].astype(np.uint16) << 8 | letters[ends - 1, rows]
    for texts, instead in ((b"IE EE", b"Y"), (b"DT RT RD NT ND", b"D")):
        at = np.flatnonzero(np.isin(pair, [int.from_bytes(text) for text in texts.split()]))
        letters[ends[at] - 2, rows[at]] = instead[0]
        letters[ends[at] - 1, rows[at]] = 0
        lengths[rows[at]] -= 1


def _translate(letters: Bytes, lengths: Ints) -> Bytes:
    """uint8[2w + 6, k]: the codes of the letters at each position, two at most, 0 where there is none."""
    codes = np.zeros((2 * len(letters), len(lengths)), np.uint8)
    codes[0] = letters[0]
    last, skip = letters[0], np.zeros(len(lengths), np.int8)
    for position in range(1, len(letters) - 3):
        letter, before, after = letters[position], letters[position - 1], letters[position + 1]
        ev, sch, ph = (_text(letters, position, text) for text in (b"EV", b"SCH", b"PH"))
        sound = _SOUND.take(letter)
        sound[(letter == ord("K")) & (after == ord("N"))] = ord("N")
        sound[ev | ph] = ord("F")
        silent_h = (letter == ord("H")) & ~(_IS_VOWEL[before] & _IS_VOWEL[after])
        sound[silent_h] = np.where(_IS_VOWEL[before], ord("A"), before)[silent_h]
        silent_w = (letter == ord("W")) & _IS_VOWEL[before]
        sound[silent_w] = before[silent_w]
        there = (position < lengths) & (skip == 0)
        new = there & (sound != last)
        codes[2 * position] = new * (ev * np.uint8(ord("A")) + sch * np.uint8(ord("S")))
        codes[2 * position + 1] = new * sound
        last = np.where(new, sound, last)
        skip = np.where(there, ev + 2 * sch.astype(np.int8) + ph, np.maximum(skip - 1, 0))
    return codes
