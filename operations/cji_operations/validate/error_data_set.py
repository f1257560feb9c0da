"""The FBI's Error Data Set, byte for byte in its layout and in its words.

NIBRS Technical Specification 3.1, Table 5-1: ASCII records of 146 characters, one a finding, and a last one whose ORI
is nine nines. A finding about a report as a whole has record number 0 and no segment level.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from cji_core.format.records.column import Bytes
from cji_core.format.records.lines import BLANK
from cji_operations.nibrs.headers import UNREADABLE
from cji_operations.validate.findings import Findings

EDS_BYTES: Final = 146
_WORDS: Final = 79
_LAST_ORI: Final = b"999999999"
_PRINTABLE: Final = np.array([byte if 0x20 <= byte <= 0x7E else ord("?") for byte in range(256)], np.uint8)


def eds(findings: Findings) -> Bytes:
    """uint8[k + 1, 146]: the records of the findings, in their order, and the last one."""
    n = len(findings.row)
    out = np.full((n + 1, EDS_BYTES), BLANK)
    body = out[:n]
    period = _columns(findings.period, 6)
    body[:, 0:4], body[:, 4:6] = period[:, 2:6], period[:, 0:2]
    body[:, 6:13] = findings.record[:, None] // 10 ** np.arange(6, -1, -1) % 10 + ord("0")
    body[:, 13:14] = _columns(findings.action, 1)
    body[:, 14:23] = _columns(findings.ori, 9)
    body[:, 23:35] = _columns(findings.number, 12)
    readable = (findings.record > 0) & (findings.level < UNREADABLE)
    body[:, 35] = np.where(readable, findings.level + np.uint8(ord("0")), BLANK)
    body[:, 36:39] = _columns(findings.offense, 3)
    body[:, 39:42] = _columns(findings.sequence, 3)
    body[:, 42:43] = _columns(findings.loss, 1)
    body[:, 43:46] = _columns(findings.element, 3)
    body[:, 46:49] = findings.rule[:, None] // 10 ** np.arange(2, -1, -1) % 10 + ord("0")
    body[:, 49:61] = _columns(findings.value, 12)
    body[:, 61:140] = _columns(_words(findings), _WORDS)
    out[n, 14:23] = np.frombuffer(_LAST_ORI, np.uint8)
    last = f"PROCESSED SUBMISSION ON {findings.as_of:%m/%d/%Y}".encode()
    out[n, 61 : 61 + len(last)] = np.frombuffer(last, np.uint8)
    return _PRINTABLE[out]


def _words(findings: Findings) -> npt.NDArray[np.bytes_]:
    """S79[k]: the FBI's words; a value in them is that of the finding."""
    words = np.array([words.encode() for words in findings.rules.words], f"S{_WORDS}")[findings.message]
    for name, values in (("value", findings.value), ("agency_start", np.char.mod(b"%d", findings.agency_start))):
        mark = b"{%s}" % name.encode()
        rows = np.flatnonzero(np.char.find(words, mark) >= 0)
        if len(rows):
            filled = [word.replace(mark, value) for word, value in zip(words[rows], values[rows], strict=True)]
            words[rows] = filled
    return words


def _columns(values: npt.NDArray[np.bytes_], width: int) -> Bytes:
    """uint8[n, width]: what numpy fills up with NUL is blank."""
    matrix = np.ascontiguousarray(values.astype(f"S{width}")).view(np.uint8).reshape(-1, width)
    return np.where(matrix == 0, BLANK, matrix)
