"""Texts that a spreadsheet program would take for a formula, made harmless (OWASP, CSV Injection; ASVS 1.2.10).

A program that opens a .csv file computes a cell that begins with = + - or @, some of them after blanks, and in some
languages with the full-width forms of these. A `'` before such a text makes it a text. A plain number such as -12.5
is a number to every program, and stays.

What is changed is distinct from what is not, so `restored` undoes it: a text that begins with `'` and would be guarded
itself is one that was guarded, since guarding adds the `'` there too.
"""

from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

_DANGEROUS: Final = r"^(['\s\p{Z}\p{C}]*[=+\-@\x{FF1D}\x{FF0B}\x{FF0D}\x{FF20}]|'*[\t\r\n\x00])"
_NUMBER: Final = r"^[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?$"


def guarded(column: pa.Array) -> pa.Array:
    """A column of strings in which `'` stands before each text that a spreadsheet program could compute."""
    found = pc.and_not(pc.match_substring_regex(column, _DANGEROUS), pc.match_substring_regex(column, _NUMBER))
    return pc.if_else(found, pc.binary_join_element_wise("'", column, ""), column)


def restored(column: pa.Array) -> pa.Array:
    """A column of strings as it was before `guarded`."""
    found = pc.and_(pc.starts_with(column, "'"), pc.match_substring_regex(column, _DANGEROUS))
    return pc.if_else(found, pc.utf8_slice_codeunits(column, 1), column)
