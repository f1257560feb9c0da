"""Advisories of the processor vendors: which levels fix them, which stay open, and which open ones are accepted.

AMD publishes its bulletins as text, so an operator copies from them what a machine can check: for each product the
minimum level of the components named in a bulletin, or that nothing fixes it. The list expires. Intel names the
advisories that apply to a machine in its own TCB info.

A machine with an open advisory is refused, unless the advisory is accepted by name, with a reason and a last day.
"""

import re
from collections.abc import Iterable
from datetime import UTC, date, datetime
from typing import Final, Literal

import msgspec

Product = Literal["Milan", "Genoa", "Turin"]
Component = Literal["bootloader", "tee", "snp", "microcode", "fmc"]

MILAN_SEED: Final = "arXiv:2605.12990"
"""Software extracts the seed of every VCEK of a Milan chip; no firmware level fixes that."""

BADRAM: Final = "AMD-SB-3015"
"""CVE-2024-21944: memory modules that lie about their size, which the firmware's alias check finds."""

LONGEST_LIST: Final = 366  # days from review to expiry
_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9.:-]{0,63}")  # what a receipt can carry


class Advisory(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One bulletin: by product the minimum level, 1-255, of each component; and the products that nothing fixes."""

    id: str
    fixed: dict[Product, dict[Component, int]] = msgspec.field(default_factory=dict)
    unfixed: tuple[Product, ...] = ()


class AdvisoryList(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An operator's review of the bulletins, valid from the day of the review to the end of the day `expires`, UTC."""

    reviewed: date
    expires: date
    listed: tuple[Advisory, ...]

    def in_time(self, now: datetime) -> bool:
        """Whether the list is in force; a clock before the review was set back."""
        return self.reviewed <= _day(now) <= self.expires

    def level(self, product: Product, component: Component) -> int:
        """The highest level that an advisory requires of the component; 0 if none does."""
        return max(one.fixed.get(product, {}).get(component, 0) for one in self.listed)


class Acceptance(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The decision to accept one open advisory until the end of a day, UTC. Verdict and receipt name its id."""

    id: str
    until: date
    reason: str


_BUILT_IN: Final = (Advisory(id=MILAN_SEED, unfixed=("Milan",)),)


def open_advisories(product: Product, known: AdvisoryList | None) -> tuple[str, ...]:
    """Ids of the advisories that nothing fixes on this product: built in, or from the operator's list."""
    listed = (*_BUILT_IN, *(known.listed if known else ()))
    return tuple(dict.fromkeys(one.id for one in listed if product in one.unfixed))


def all_accepted(ids: Iterable[str], accepted: Iterable[Acceptance], now: datetime) -> bool:
    """Whether each of `ids` is accepted and its acceptance has not expired."""
    return set(ids) <= {one.id for one in accepted if _day(now) <= one.until}


def sound_list(found: AdvisoryList) -> bool:
    """Whether the list is usable: not empty, expiring within a year, nothing listed twice or without effect."""
    return (
        0 < (found.expires - found.reviewed).days <= LONGEST_LIST
        and _names(found.listed)
        and all(
            (one.fixed or one.unfixed)
            and not set(one.fixed) & set(one.unfixed)
            and all(map(_levels, one.fixed.items()))
            for one in found.listed
        )
    )


def sound_acceptances(accepted: tuple[Acceptance, ...]) -> bool:
    """Whether each entry is for one advisory and has a reason."""
    return not accepted or (_names(accepted) and all(one.reason.strip() for one in accepted))


def _names(found: tuple[Advisory, ...] | tuple[Acceptance, ...]) -> bool:
    ids = [one.id for one in found]
    return 0 < len(ids) == len(set(ids)) and all(_ID.fullmatch(one) for one in ids)


def _levels(fix: tuple[Product, dict[Component, int]]) -> bool:
    product, levels = fix
    return bool(levels) and all(
        1 <= level <= 255 and (product == "Turin" or component != "fmc") for component, level in levels.items()
    )


def _day(now: datetime) -> date:
    return now.astimezone(UTC).date()
