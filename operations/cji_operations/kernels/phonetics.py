"""Phonetic codes of words: what sounds alike in English has one code.

Both take the ASCII letters of a word, in either case, and nothing else: O'BRIEN is OBRIEN.

Soundex as the US National Archives describe it ("The Soundex Indexing System", archives.gov/research/census/soundex):
the first letter, then up to three digits for the consonants that follow; the same digit twice in a row counts once,
also across H and W and also for the first letter itself, but not across a vowel.

NYSIIS, the code of the New York State Identification and Intelligence System: R. L. Taft, "Name Search Techniques"
(1970), in its full length (the original cuts at six).

Words stand in columns, position by position, some thousand at once, and a rule compares a whole position with those
before and behind it. No step takes a byte by its number: numpy does that at a thirtieth of the speed at which it goes
through bytes side by side.
"""

from collections.abc import Iterator
from typing import Final

import numpy as np
import numpy.typing as npt

from cji_core.format.records.column import Bools, Bytes
from cji_operations.kernels import hashing
from cji_operations.kernels.strings import Words, fold

_VOWEL, _SKIP = 0, 7
_DIGIT: Final = bytearray([_SKIP] * 256)  # H, W, and the padding
for _digit, _of_digit in enumerate((b"AEIOUY", b"BFPV", b"CGJKQSXZ", b"DT", b"L", b"MN", b"R")):
    for _letter in _of_digit:
        _DIGIT[_letter] = _digit
_THREE: Final = np.uint16(8 * 8)  # the least number of three digits to the base of 8, none of them 0
_SEVEN: Final = np.uint16(7)
_ALPHABET: Final = 26
_ASCII: Final = 0x80
_BEHIND: Final = 3  # positions of padding: a rule looks two letters ahead, and one further for the end
_CHUNK: Final = 1 << 17  # letters at once: the caches hold them, and they take longer than a call of numpy
_FEWEST: Final = 512  # words, however long one of them is


def soundex(words: Words) -> Bytes:
    """uint8[k, 4]: the code of each word in ASCII, padded with the digit 0; four NULs where there is no letter."""
    code = np.empty((len(words), 4), np.uint8)
    for rows, letters in _chunks(words):
        number, there = _digits(letters), letters[0] != 0
        code[rows, 0] = letters[0]
        for position in (1, 2, 3):
            digit = (number >> np.uint16(9 - 3 * position) & _SEVEN).astype(np.uint8)
            code[rows, position] = (digit + np.uint8(ord("0"))) * there
    return code


def _digits(letters: Bytes) -> npt.NDArray[np.uint16]:
    """uint16[k]: the three digits behind the first letter as one number to the base of 8."""
    digits = np.frombuffer(letters.tobytes().translate(_DIGIT), np.uint8).reshape(letters.shape)
    is_letter = digits != _SKIP
    coded = is_letter & (digits != _VOWEL)
    last = digits[0] * is_letter[0].view(np.uint8)
    number = np.zeros(letters.shape[1], np.uint16)
    for position in range(1, len(letters) - _BEHIND):
        digit, counts = digits[position], is_letter[position]
        new = (digit != last) & coded[position] & (number < _THREE)
        number *= new.view(np.uint8) * np.uint8(7) + np.uint8(1)
        number += new.view(np.uint8) * digit
        _put(last, counts, digit)
    for _ in range(2):  # a number of no digit stays 0
        number *= (number < _THREE).view(np.uint8) * np.uint8(7) + np.uint8(1)
    return number


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
    """uint8[k, w]: the code of each word in ASCII letters, zero beyond its length; in Fortran order, as words are.

    For the letter before an H or a W, the original counts, not its translation: BROWN is BRAON.
    """
    code = np.zeros((words.data.shape[1], len(words)), np.uint8)
    for rows, letters in _chunks(words):
        _begin(letters)
        _end(letters)
        found = _compact(*_translate(letters))
        _trim(found)
        width = len(letters) - _BEHIND
        code[:width, rows] = found[:width]
    return code.T


def _chunks(words: Words) -> Iterator[tuple[slice, Bytes]]:
    """(some rows; uint8[w + _BEHIND, n]: their letters as capitals, then zeros), for all words."""
    for rows in _rows(words):
        data = words.data[rows, : int(words.lengths[rows].max())].T
        letters = np.zeros((len(data) + _BEHIND, data.shape[1]), np.uint8)
        letters[:-_BEHIND] = data
        is_letter = letters - np.uint8(ord("A")) < _ALPHABET
        if np.count_nonzero(is_letter) != np.count_nonzero(letters):
            letters[:-_BEHIND] = fold(data)
            is_letter = letters - np.uint8(ord("A")) < _ALPHABET
            if np.count_nonzero(is_letter) != np.count_nonzero(letters):
                letters = _compact(letters, is_letter)
        yield rows, letters


def _rows(words: Words) -> Iterator[slice]:
    at_once = max(_CHUNK // (words.data.shape[1] + _BEHIND), _FEWEST)
    for first in range(0, len(words), at_once):
        yield slice(first, min(first + at_once, len(words)))


def _compact(positions: Bytes, kept: Bools) -> Bytes:
    """uint8[p, k]: the bytes of each column that are `kept`, moved to its beginning, then zeros.

    What goes by 2**i positions goes in step i, so that a step moves whole positions: G. L. Steele's compression of a
    word's bits (H. S. Warren, Hacker's Delight, 2nd ed., 7-4), of bytes. Those kept are never more than those before.
    """
    dense = positions * kept.view(np.uint8)
    by = (~kept).view(np.uint8)
    for position in range(1, len(by)):
        by[position] += by[position - 1]
    by *= kept.view(np.uint8)
    step, most = 1, int(by.max(initial=0))
    while step <= most:
        goes = ((by & np.uint8(step)) != 0).view(np.uint8)
        for each in (dense, by):
            taken = each * goes
            np.bitwise_xor(each, taken, out=each)
            np.bitwise_or(each[:-step], taken[step:], out=each[:-step])
        step *= 2
    return dense


def _put(letters: Bytes, where: Bools, instead: Bytes | np.uint8) -> None:
    """Replace letters, in their place, wherever `where` is set: in a tenth of the time of numpy's `where`."""
    change = letters ^ instead
    change *= where.view(np.uint8)
    letters ^= change


def _code(letter: str) -> np.uint8:
    return np.uint8(ord(letter))


def _text(letters: Bytes, position: int, text: str) -> Bools:
    """bool[k]: the words have this text at this position."""
    same: Bools = np.logical_and.reduce([letters[position + i] == ord(letter) for i, letter in enumerate(text)])
    return same


def _begin(letters: Bytes) -> None:
    kn = np.flatnonzero(_text(letters, 0, "KN"))
    mac, ff, sch = _text(letters, 0, "MAC"), _text(letters, 0, "PH") | _text(letters, 0, "PF"), _text(letters, 0, "SCH")
    _put(letters[0], letters[0] == ord("K"), _code("C"))
    _put(letters[0], ff, _code("F"))
    for where, instead in ((mac, "C"), (ff, "F"), (sch, "S")):
        _put(letters[1], where, _code(instead))
    _put(letters[2], sch, _code("S"))
    letters[:-1, kn] = letters[1:, kn]


def _end(letters: Bytes) -> None:
    first, second = letters[:-2], letters[1:-1]
    ends = letters[2:] == 0
    n_or_r = (first == ord("N")) | (first == ord("R"))
    of_d = (second == ord("D")) & n_or_r | (second == ord("T")) & (n_or_r | (first == ord("D")))
    of_y = (second == ord("E")) & ((first == ord("E")) | (first == ord("I")))
    of_d &= ends
    of_y &= ends
    _put(first, of_d, _code("D"))
    _put(first, of_y, _code("Y"))
    _put(second, of_d | of_y, np.uint8(0))


def _translate(letters: Bytes) -> tuple[Bytes, Bools]:
    """(uint8[p, k]: the code of the letter at each position; bool[p, k]: it is part of the word's code).

    Of letters that are translated together, EV is A and F, SCH is S and S, PH is F, and what is left of them is
    nothing; neither is a code that is that of the letter before.
    """
    is_letter = {letter: letters == ord(letter) for letter in "AEHKNPS"}
    is_vowel = is_letter["A"] | is_letter["E"]
    for letter in "IOU":
        is_vowel |= letters == ord(letter)
    with_a = letters.copy()
    _put(with_a, is_vowel, _code("A"))
    codes = with_a.copy()
    _put(codes, is_letter["K"], _code("C"))
    _put(codes[:-1], is_letter["K"][:-1] & is_letter["N"][1:], _code("N"))
    for letter, instead in (("Q", "G"), ("Z", "S"), ("M", "N")):
        _put(codes, letters == ord(letter), _code(instead))
    silent_h = is_letter["H"][1:-1] & ~(is_vowel[:-2] & is_vowel[2:])
    _put(codes[1:-1], silent_h, with_a[:-2])
    silent_w = (letters[1:] == ord("W")) & is_vowel[:-1]
    _put(codes[1:], silent_w, letters[:-1])
    codes[0] = letters[0]
    ev, ph, sch = (np.zeros(letters.shape, np.bool_) for _ in range(3))
    np.logical_and(is_letter["E"][1:-1], letters[2:] == ord("V"), out=ev[1:-1])
    np.logical_and(is_letter["P"][1:-1], is_letter["H"][2:], out=ph[1:-1])
    np.logical_and(is_letter["S"][1:-2], letters[2:-1] == ord("C"), out=sch[1:-2])
    sch[1:-2] &= is_letter["H"][3:]
    ph |= ev
    _put(codes, ph, _code("F"))
    _put(codes[1:], ph[:-1], _code("F"))
    _put(codes[1:-1], sch[:-2] | sch[1:-1], _code("S"))
    _put(codes[2:], sch[:-2], _code("S"))
    new = codes != 0
    new[1:] &= codes[1:] != codes[:-1]
    new[1:] |= (ev | sch)[:-1] & new[:-1]
    _put(codes, ev, _code("A"))
    return codes, new


def _trim(codes: Bytes) -> None:
    """The end of codes, in their place: without an S, Y for AY, and then without an A, but never without the first."""
    first, second, behind = codes[:-2], codes[1:-1], codes[2:]
    _put(second, (second == ord("S")) & (behind == 0), np.uint8(0))
    ay = (first == ord("A")) & (second == ord("Y")) & (behind == 0)
    _put(first, ay, _code("Y"))
    _put(second, ay, np.uint8(0))
    _put(second, (second == ord("A")) & (behind == 0), np.uint8(0))
