"""Names and other words of all alphabets, in forms that are compared: folded, plain, and letter by letter.

folded   without case, in one form of Unicode (NFKC; the Unicode Standard, sections 3.13 and 5.18): Peña, PEÑA and PEN~A
         with a combining tilde are one word, and so are STRASSE and Straße, full-width and ASCII letters. Apostrophes,
         hyphens and blanks of all kinds are those of ASCII. Bytes that are not UTF-8 are read as Windows-1252.
         Of a value with other letters than ASCII the first 1020 bytes count.
names    folded, and only letters and digits: apostrophes and dots are left out, whatever else stands between two parts
         of a name is one blank
plain    without accents; letters that have none in the Latin alphabet, and Cyrillic and Greek, as data/letters.csv
         writes them; Hangul as its letters; of names, without blanks
carried  in ASCII, for receivers that have no other letters: letters outside of it are plain, signs are those of ASCII
letters  plain, one byte a letter, for kernels that compare bytes: those of other alphabets have bytes from 0x80 on,
         which two letters of one alphabet hardly ever share

A form of a value depends on the value alone. ASCII values take a few operations on the whole column, others are few.
"""

import codecs
import re
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.resources import files
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cji_core.format.records import arrow
from cji_core.format.records.column import Bools, Bytes, Ints
from cji_operations.kernels.strings import MAX_BYTES, Words, only

_APOSTROPHES: Final = (
    "'`\N{ACUTE ACCENT}\N{LEFT SINGLE QUOTATION MARK}\N{RIGHT SINGLE QUOTATION MARK}\N{PRIME}\N{MODIFIER LETTER PRIME}"
    "\N{SINGLE HIGH-REVERSED-9 QUOTATION MARK}\N{MODIFIER LETTER TURNED COMMA}\N{MODIFIER LETTER APOSTROPHE}"
    "\N{MODIFIER LETTER REVERSED COMMA}\N{MODIFIER LETTER RIGHT HALF RING}\N{MODIFIER LETTER LEFT HALF RING}"
    "\N{MODIFIER LETTER VERTICAL LINE}\N{ARMENIAN APOSTROPHE}\N{HEBREW PUNCTUATION GERESH}\N{FULLWIDTH APOSTROPHE}"
    "\N{LATIN SMALL LETTER SALTILLO}\N{LATIN CAPITAL LETTER SALTILLO}"
)
_ASCII: Final = 0x80
_MOST_BYTES: Final = 4 * MAX_BYTES
_NOT_ASCII: Final = re.compile(r"[^\x00-\x7f]")
_KEPT: Final = np.arange(256, dtype=np.uint8)
_LOST_MARKS: Final = re.compile("(^|[ -/:-@[-`{-~])[\u0300-\u036f]+")
"""Marks on no letter, which would go to the letter before when the sign between is left out."""
_SIGNS_OF_ASCII: Final = ~((_KEPT >= _ASCII) | np.isin(_KEPT, list(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")))
_KEPT_WITHOUT_BLANKS: Final = np.where(ord(" ") == _KEPT, 0, _KEPT).astype(np.uint8)


class _Signs(dict[int, str]):
    """The text for each character in `str.translate`: for signs that are not letters, the one in ASCII."""

    def __missing__(self, code: int) -> str:
        character = chr(code)
        kind = unicodedata.category(character)
        found = character
        if code >= _ASCII:
            if kind == "Nd":
                found = str(unicodedata.decimal(character))
            elif kind[0] in "CZSP":
                found = "" if kind in {"Cf", "Cn", "Co", "Cs"} else "-" if kind == "Pd" else " "
        self[code] = found
        return found


class _Written(dict[int, str]):
    """The text for each character of a decomposed word in `str.translate`: none for marks."""

    def __missing__(self, code: int) -> str:
        character = chr(code)
        self[code] = found = "" if unicodedata.category(character)[0] == "M" else character
        return found


def _read() -> _Written:
    lines = (files(__package__) / "data/letters.csv").read_text("utf-8").splitlines()
    rows = [line.split(",") for line in lines if not line.startswith("#")][1:]
    return _Written({ord(letter): written for letter, written in rows})


_WINDOWS: Final = codecs.lookup("cp1252").decode
"""Looked up here: a cell that holds records cannot import a codec."""
_QUOTES: Final = dict.fromkeys(map(ord, _APOSTROPHES), "'")
_SIGNS: Final = _Signs(_QUOTES)
_WRITTEN: Final = _read()


def folded(array: pa.Array) -> pa.Array:
    """binary[n]: the values of a `utf8` or `binary` array, folded and without blanks at their ends."""
    array = array.view(pa.binary())
    capitals = pc.ascii_upper(pc.ascii_trim_whitespace(array.view(pa.utf8()))).view(pa.binary())
    return _replaced(capitals, _foreign(capitals), lambda value: _fold(_text(value)).strip(" ").encode())


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Spelled:
    """Values as they are written and as they are carried.

    foreign bool[n]: not ASCII; characters int64[n]: of a value in NFC, in which a letter with its accents is one;
    carried binary[n], in UTF-8, and carried_characters int64[n].
    """

    foreign: Bools = field(repr=False)
    characters: Ints = field(repr=False)
    carried: pa.Array = field(repr=False)
    carried_characters: Ints = field(repr=False)


def spelled(array: pa.Array) -> Spelled | None:
    """The values of a `binary` array, MUÑOZ carried as MUNOZ; None where all of them are ASCII."""
    rows = _foreign(array)
    if not len(rows):
        return None
    encoded = pc.dictionary_encode(array.take(arrow.from_numpy(rows)), null_encoding="encode")
    texts = [unicodedata.normalize("NFC", _text(value or b"")) for value in encoded.dictionary.to_pylist()]
    values = [_NOT_ASCII.sub(_carried, text) for text in texts]
    which = arrow.numbers(encoded.indices)
    lengths = np.diff(arrow.text(array)[0]).astype(np.int64) * arrow.present(array)
    sizes = lengths.copy()
    lengths[rows] = np.array([len(text) for text in texts])[which]
    sizes[rows] = np.array([len(value) for value in values])[which]
    foreign = np.zeros(len(array), np.bool_)
    foreign[rows] = True
    made = _packed([value.encode() for value in values]).take(encoded.indices)
    carried = pc.replace_with_mask(array, arrow.from_numpy(foreign), made)
    return Spelled(foreign=foreign, characters=lengths, carried=carried, carried_characters=sizes)


def names(array: pa.Array) -> pa.Array:
    """binary[n]: folded values as names; the same array where they are letters and digits alone."""
    if not has_bytes(array, _SIGNS_OF_ASCII):
        return array
    joined = pc.replace_substring_regex(array, rb"['`.]", b"")
    return pc.replace_substring_regex(pc.replace_substring_regex(joined, rb"[^0-9A-Z\x80-\xff]+", b" "), rb"^ | $", b"")


def has_bytes(array: pa.Array, which: Bools) -> bool:
    """Whether some value of a `utf8` or `binary` array has one of the bytes `which` bool[256]."""
    offsets, data = arrow.text(array)
    return bool(which[data[offsets[0] : offsets[-1]]].any())


def cut(array: pa.Array, most: int = MAX_BYTES) -> pa.Array:
    """binary[n]: of each folded value, as many whole characters as `most` bytes hold."""
    long = arrow.bools(pc.greater(pc.binary_length(array), most).fill_null(False))
    return _replaced(array, np.flatnonzero(long), lambda value: value[:most].decode("utf-8", "ignore").encode())


def plain(words: Words, *, blanks: bool) -> Words:
    """Folded words in their plain form, with or without their blanks; the same object where nothing changes."""
    foreign = np.flatnonzero((words.data >= _ASCII).any(axis=1))
    found = words if blanks else squeezed(words)

    def written(value: bytes) -> bytes:
        text = unicodedata.normalize("NFD", value.decode("utf-8", "replace")).translate(_WRITTEN)
        return (text if blanks else text.replace(" ", "")).encode() or value

    return _rewritten(found, words, foreign, written)


def squeezed(words: Words) -> Words:
    """Names without their blanks; the same object where none has any."""
    return only(words, _KEPT_WITHOUT_BLANKS) if (words.data == ord(" ")).any() else words


def letters(words: Words) -> Words:
    """Plain words letter by letter; the same object where they are ASCII."""

    def bytewise(value: bytes) -> bytes:
        codes = map(ord, value.decode("utf-8", "replace"))
        return bytes(code if code < _ASCII else _ASCII | code & 0x7F for code in codes)

    return _rewritten(words, words, np.flatnonzero((words.data >= _ASCII).any(axis=1)), bytewise)


def _text(value: bytes) -> str:
    """The characters of a value, of its first _MOST_BYTES: forms of Unicode take time with the square of marks."""
    if len(value) > _MOST_BYTES:
        end = _MOST_BYTES
        while end > _MOST_BYTES - 4 and value[end] & 0xC0 == _ASCII:  # within a character of UTF-8
            end -= 1
        value = value[:end]
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return _WINDOWS(value, "replace")[0].replace("\N{REPLACEMENT CHARACTER}", "")


def _fold(text: str) -> str:
    text = unicodedata.normalize("NFKC", text.translate(_QUOTES)).casefold()
    text = unicodedata.normalize("NFKC", text).translate(_SIGNS).upper()
    return _LOST_MARKS.sub(r"\1", unicodedata.normalize("NFC", text))


@lru_cache(maxsize=4096)
def _carried_letter(character: str) -> str:
    return unicodedata.normalize("NFD", _fold(character)).translate(_WRITTEN)


def _carried(match: re.Match[str]) -> str:
    return _carried_letter(match[0])


def _foreign(array: pa.Array) -> Ints:
    """The positions of values that are not ASCII."""
    offsets, data = arrow.text(array)
    data = data[offsets[0] : offsets[-1]]
    if data.max(initial=0) < _ASCII:
        return np.empty(0, np.int64)
    other = data >= _ASCII
    before = np.append(0, np.cumsum(other))[offsets - offsets[0]]
    return np.flatnonzero(np.diff(before))


def _replaced(array: pa.Array, rows: Ints, make: Callable[[bytes], bytes]) -> pa.Array:
    """The values, those of `rows` as `make` has them."""
    if not len(rows):
        return array
    mask = np.zeros(len(array), np.bool_)
    mask[rows] = True
    values = [b"" if value is None else make(value) for value in array.take(arrow.from_numpy(rows)).to_pylist()]
    return pc.replace_with_mask(array, arrow.from_numpy(mask), _packed(values))


def _packed(values: list[bytes]) -> pa.Array:
    lengths = np.array([len(value) for value in values])
    return arrow.from_bytes(np.frombuffer(b"".join(values), np.uint8), lengths, pa.binary())


def _rewritten(found: Words, source: Words, rows: Ints, make: Callable[[bytes], bytes]) -> Words:
    """`found`, with what `make` has of the values of `source` in `rows`."""
    if not len(rows):
        return found
    values = [make(value)[:MAX_BYTES] for value in _values(source, rows)]
    width = max(found.data.shape[1], *map(len, values))
    data = np.zeros((len(found), width), np.uint8, order="F")
    data[:, : found.data.shape[1]] = found.data
    data[rows] = 0
    lengths = found.lengths.copy()
    lengths[rows] = [len(value) for value in values]
    data[rows] = _matrix(values, width)
    return Words(data=data, lengths=lengths)


def _values(words: Words, rows: Ints) -> Iterable[bytes]:
    some = np.ascontiguousarray(words.data[rows])
    return (row.tobytes()[:length] for row, length in zip(some, words.lengths[rows].tolist(), strict=True))


def _matrix(values: list[bytes], width: int) -> Bytes:
    return np.frombuffer(b"".join(value.ljust(width, b"\0") for value in values), np.uint8).reshape(-1, width)
