"""Sections of law as records cite them; `cji_core.operations.clear.sections` has them as tables list them.

Records cite sections at the beginning of a text: `11357(A) HS-POSSESS`. Whether a citation is among listed sections is
YES, NO, or UNKNOWN where it has fewer subdivisions than a listed one (`11357 HS` may be `11357(b) HS`, unless the table
lists `11357() HS` somewhere, which gives the short form a meaning of its own) and where it joins two sections of which
one is listed (`664/11358 HS`). Where every section has its chapter before a dot, what follows one must be words or
nothing, no letter that may belong to it and no second section; and 750.812 is UNKNOWN where 750.81 is listed, because
codes of charges write 750.81(2) so.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cji_core.format.records import arrow
from cji_core.format.records.column import Bools, Ints, read
from cji_core.operations.clear.sections import HYPHENATED, MAX_DEPTH, NUMBER, SUBDIVISION, TITLED, Patterns
from cji_operations.clear.truth import NO, UNKNOWN, YES, Truth
from cji_operations.kernels.distinct import first_rows
from cji_operations.kernels.strings import folded, trimmed

_PARTS: Final = ("number", *(f"sub{i}" for i in range(MAX_DEPTH)), "joined", "law")
"""The groups of the expression, in their order."""
_END: Final = r"(?:[^0-9A-Z.(:/\s-]|\s*[-.:/]\s*(?:[^0-9\s]|$)|\s+(?:[^(\s/.:-]|$)|$)"
"""The end of a citation without a law: not the rest of a longer number, as in 750.110A2."""
_SIGN: Final = "\N{SECTION SIGN}".encode()
_CODE: Final = r"(?:PA\.?\s*)?(?:C\.?\s*S\.?(?:\s*A\.?)?|P\.?\s*S\.?)"
_TITLE: Final = rf"^\s*([0-9]{{1,2}})(?:\s+|\s*\$\s*|\s*{_CODE})\s*(?:{_CODE})?\s*(?:\$|SEC(?:TION|\.)?)?\s*([0-9])"
_DOCKET: Final = (r"\s*\$\$\s*([A-Z])", r"(\1)"), (r"^([0-9.-]+\([A-Z]\))([0-9]{1,3})", r"\1(\2)")
_DOTTED: Final = (
    r"^\s*[0-9]{1,3}\.[0-9]+(?:[A-Z]\b)?(?:\s*\([0-9A-Z.]*\))*[\s.,;:*-]*(?:$|[A-Z]{2}|[^0-9A-Z\s.,;:*(/-])",
    r"(?:^|[^0-9$.,])[0-9]{1,3}\.[0-9]",
)
"""A dotted section and what may follow it; the beginning of one in a text, where a sum of money is none."""
_SEE_COMMENT: Final = b"SEE COMMENT FOR CHARGE"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Citations:
    """The citations of c convictions. code int64[c] is the position of each in the d distinct ones; d: none was found.

    levels are utf8[d], the citation with its first 0 to 4 subdivisions, the last one whole; number and joined utf8[d]
    its number and that of a second section, law utf8[d] its law; both bool[d] where there is a second one. dotted:
    sections have their chapter before a dot.
    """

    code: Ints
    levels: tuple[pa.Array, ...]
    number: pa.Array
    law: pa.Array
    joined: pa.Array
    both: Bools
    dotted: bool

    @property
    def known(self) -> Bools:
        """bool[c]: a citation was found."""
        return self.code < len(self.both)

    def text(self, at: Ints | slice = slice(None)) -> pa.Array:
        """binary: the citations at these positions, null where none was found."""
        return self.levels[-1].take(arrow.from_numpy(self.code[at], valid=self.known[at]))

    def among(self, listed: Patterns, named_alone: frozenset[str]) -> Truth:
        """Truth[c]: the citation is among the listed sections; `named_alone` are short forms with their own meaning."""
        whole = self.levels[-1]
        covered = np.logical_or.reduce([_is_in(level, listed.covered) for level in self.levels])
        covered |= _is_in(whole, listed.alone)
        short = _is_in(whole, listed.shorter - named_alone)
        if self.dotted:
            short |= _longer(self.number, listed.numbers)
        part = _is_in(self.number, listed.numbers) | _is_in(self.joined, listed.numbers)
        for beginning, law in listed.beginnings:
            begins = _begins(self.number, beginning)
            part |= begins | _begins(self.joined, beginning)
            covered |= begins & _is_in(self.law, frozenset((law,)))
        truth = np.where(self.both, np.where(part, UNKNOWN, NO), np.where(covered, YES, np.where(short, UNKNOWN, NO)))
        return np.append(truth.astype(np.int8), UNKNOWN)[self.code]


def read_citations(
    columns: Sequence[pa.Array],
    *,
    laws: Sequence[str],
    hyphenated: bool,
    titled: bool = False,
    dotted: bool = False,
    follows: int | None = None,
) -> Citations:
    """The citation of each row: the first one that is found in these `binary` columns, in their order.

    Column `follows` is read only where the one before it is empty or refers to it.
    """
    expression = _expression(laws, hyphenated=hyphenated, titled=titled)
    code = np.full(len(columns[0]), -1, np.int64)
    texts, start = list[list[pa.Array]](), 0
    for position, column in enumerate(columns):
        silent = code < 0 if position != follows else (code < 0) & ~_speaks(columns[position - 1])
        rows = np.flatnonzero(silent)
        encoded = pc.dictionary_encode(column.take(arrow.from_numpy(rows)), null_encoding="encode")
        texts_ = pc.replace_substring(folded(encoded.dictionary), b"&", b"")  # H&S is HS
        texts_ = _with_titles(texts_) if titled else _dotted(texts_) if dotted else texts_
        parts = pc.extract_regex(texts_, expression)
        cites = arrow.present(parts)
        place = np.where(cites, start + np.cumsum(cites) - 1, -1)
        code[rows] = place[arrow.numbers(encoded.indices)]
        texts.append(parts.filter(arrow.from_numpy(cites)).flatten())
        start += int(np.count_nonzero(cites))
    whole = [arrow.concat(column, pa.binary()) for column in zip(*texts, strict=True)]
    first, same = first_rows(pc.binary_join_element_wise(*whole, pa.scalar(b"\0")))
    distinct = {name: column.take(arrow.from_numpy(first)) for name, column in zip(_PARTS, whole, strict=True)}
    return _citations(np.append(same, len(first))[code], distinct, dotted=dotted)


def _expression(laws: Sequence[str], *, hyphenated: bool, titled: bool) -> str:
    """RE2, which takes linear time: `NUMBER(SUB)(SUB) LAW` at the beginning, perhaps of two sections."""
    number = TITLED if titled else HYPHENATED if hyphenated else NUMBER
    below = "".join(rf"(?:\s*(?P<sub{i}>{SUBDIVISION}))?" for i in range(MAX_DEPTH))
    deeper = rf"(?:\s*{SUBDIVISION})*"
    joint = "/" if hyphenated or titled else "[/-]"
    second = rf"(?:\s*{joint}\s*(?P<joined>{number}){deeper})?"
    law = rf"\s*(?P<law>{'|'.join(sorted(laws, key=len, reverse=True))})\b" if laws else rf"(?P<law>){_END}"
    return rf"^\s*(?:COM:\s*)?(?:CNT\s*#?[0-9]+\s+)?(?:CHRG\s*-\s*)?(?P<number>{number}){below}{deeper}{second}{law}"


def _with_titles(texts: pa.Array) -> pa.Array:
    """`18 PA.C.S. § 3903(A)` and `18 § 3903 §§ A` as `18-3903(A)`: the title, joined by a hyphen."""
    made = pc.replace_substring_regex(pc.replace_substring(texts, _SIGN, b"$"), _TITLE, r"\1-\2")
    for pattern, replacement in _DOCKET:
        made = pc.replace_substring_regex(made, pattern, replacement)
    return made


def _dotted(texts: pa.Array) -> pa.Array:
    """The texts that cite one dotted section and no other, the others null."""
    one = pc.equal(pc.count_substring_regex(texts, _DOTTED[1]), 1)
    return pc.if_else(pc.and_(pc.match_substring_regex(texts, _DOTTED[0]), one), texts, pa.scalar(None, pa.binary()))


def _longer(numbers: pa.Array, listed: frozenset[str]) -> Bools:
    """bool[d]: the number is a listed one with further digits."""
    expression = f"^(?:{'|'.join(re.escape(each) for each in sorted(listed))})[0-9]"
    return arrow.bools(pc.match_substring_regex(numbers, expression)) if listed else np.zeros(len(numbers), np.bool_)


def _speaks(array: pa.Array) -> Bools:
    """bool[n]: the text is neither empty nor a reference to the comment."""
    encoded = pc.dictionary_encode(array, null_encoding="encode")
    text = trimmed(folded(encoded.dictionary))
    silent = arrow.bools(pc.is_in(text, value_set=pa.array([b"", _SEE_COMMENT], pa.binary())))
    speaks: Bools = (arrow.present(text) & ~silent)[arrow.numbers(encoded.indices)]
    return speaks


def _citations(code: Ints, parts: dict[str, pa.Array], *, dotted: bool) -> Citations:
    number = parts["number"]
    law = parts["law"]
    blank = arrow.from_numpy(read(law).filled)
    suffix = pc.if_else(blank, pc.binary_join_element_wise(pa.scalar(b" "), law, pa.scalar(b"")), law)
    levels, section = list[pa.Array](), number
    for depth in range(MAX_DEPTH + 1):
        if depth:
            section = pc.binary_join_element_wise(section, parts[f"sub{depth - 1}"], pa.scalar(b""))
        levels.append(pc.binary_join_element_wise(section, suffix, pa.scalar(b"")))
    joined = parts["joined"]
    both = read(joined).filled
    return Citations(code=code, levels=tuple(levels), number=number, law=law, joined=joined, both=both, dotted=dotted)


def _is_in(array: pa.Array, values: frozenset[str]) -> Bools:
    wanted = pa.array(sorted(value.encode() for value in values), pa.binary())
    return arrow.bools(pc.is_in(array, value_set=wanted))


def _begins(array: pa.Array, beginning: str) -> Bools:
    return arrow.bools(pc.starts_with(array, beginning).fill_null(False))
