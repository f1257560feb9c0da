"""The table of advisories, version 2: what bulletins require, as far as evidence can show it.

AMD publishes its bulletins as text, so each row states where it comes from, when it was read there and how good the
source is. `advisories.toml` is the table as shipped. An operator's own is a signed file (`signed`) with the same rows:
of two rows with one id the table with the later review has the one in force, and no row goes away by being left out.
For TDX the table has only what Intel's signed statements do not: physical attacks, and the vTPM.
A table expires: after its last day all evidence is refused, because nobody has read the bulletins since.
"""

import re
from collections.abc import Iterable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Final, Literal

import msgspec

from cji_attestation.appraisal.advisories.products import PRODUCT_OF, Component, Product, Stepping, Target
from cji_core.documents import toml

Visibility = Literal["fixed", "not fixed", "not visible in a report", "physical"]
Confidence = Literal["primary", "second hand", "disputed"]

ALIASES: Final = "AMD-SB-3015"
"""CVE-2024-21944, BadRAM: memory modules that lie about their size, which the firmware's alias check finds."""

LONGEST_TABLE: Final = 366  # days from review to expiry
MOST_ROWS: Final = 256
_MITIGATION_BITS: Final = 64
_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9.:-]{0,63}", re.ASCII)  # what a receipt can carry
_CVE: Final = re.compile(r"CVE-\d{4}-\d{4,7}", re.ASCII)


class Fix(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A report of a fixed machine shows at least these levels, and this bit of its mitigation vectors, from 0."""

    levels: dict[Component, int] = msgspec.field(default_factory=dict)
    mitigation_bit: int | None = None
    alias_check: bool = False  # PLATFORM_INFO: the firmware's check for memory aliases is complete


class Advisory(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One bulletin. `visibility` states whether a fix exists and a report can show it; only "fixed" has `fixes`.

    A stepping of an affected product without an entry in `fixes` cannot be shown to be fixed.
    """

    id: str
    title: str
    visibility: Visibility = msgspec.field(name="class")
    cves: tuple[str, ...] = ()
    affects: tuple[Target, ...]
    fixes: dict[Stepping, Fix] = msgspec.field(default_factory=dict)
    host_update: bool = False  # the fix needs an update of the host's system too, which no report states
    smt_only: bool = False  # it needs simultaneous multithreading, which a report states
    pi: dict[Product, str] = msgspec.field(default_factory=dict)  # fixed by this Platform Initialization firmware
    note: str = ""
    source: str
    read: date
    published: date | None = None
    confidence: Confidence


class AdvisoryTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A review of the bulletins, valid from the day of the review to the end of the day `expires`, UTC."""

    version: Literal[2]
    reviewed: date
    expires: date
    rows: tuple[Advisory, ...]

    def merged(self, other: "AdvisoryTable") -> tuple[Advisory, ...]:
        """The rows of both: for an id in both, that of the table with the later review, or of this one."""
        older, newer = (self, other) if self.reviewed < other.reviewed else (other, self)
        return tuple(({row.id: row for row in older.rows} | {row.id: row for row in newer.rows}).values())


def sound_table(found: AdvisoryTable) -> bool:
    """Whether the table is usable: not empty, expiring within a year, nothing listed twice or without effect."""
    return (
        0 < (found.expires - found.reviewed).days <= LONGEST_TABLE
        and len(found.rows) <= MOST_ROWS
        and sound_ids(row.id for row in found.rows)
        and all(_sound_row(row, found.reviewed) for row in found.rows)
    )


def sound_ids(ids: Iterable[str]) -> bool:
    """Whether there is at least one id, each in a form that a receipt can carry, none twice."""
    found = tuple(ids)
    return 0 < len(found) == len(set(found)) and all(map(_ID.fullmatch, found))


def day_of(now: datetime) -> date:
    """The day, UTC."""
    return now.astimezone(UTC).date()


def _sound_row(row: Advisory, reviewed: date) -> bool:
    return (
        0 < len(row.affects) == len(set(row.affects))
        and (row.visibility == "fixed") == bool(row.fixes)
        and all(PRODUCT_OF[stepping] in row.affects for stepping in row.fixes)
        and all(_sound_fix(stepping, fix) for stepping, fix in row.fixes.items())
        and set(row.pi) <= set(row.affects)
        and all(map(_CVE.fullmatch, row.cves))
        and bool(row.title.strip() and row.source.strip())
        and row.read <= reviewed
    )


def _sound_fix(stepping: Stepping, fix: Fix) -> bool:
    return (
        bool(fix.levels or fix.alias_check or fix.mitigation_bit is not None)
        and (fix.mitigation_bit is None or 0 <= fix.mitigation_bit < _MITIGATION_BITS)
        and all(
            1 <= level <= 255 and (PRODUCT_OF[stepping] == "Turin" or component != "fmc")
            for component, level in fix.levels.items()
        )
    )


SHIPPED_FILE: Final = Path(__file__).with_name("advisories.toml")
SHIPPED: Final = toml(SHIPPED_FILE.read_bytes(), AdvisoryTable)
