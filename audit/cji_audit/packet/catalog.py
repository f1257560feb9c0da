"""The texts of the policy: the Requirements Companion as JSON, which the maker of a packet names.

    {"source": …, "published": …, "version": "6.1", "transcription": …, "units": [
        {"id": "AU-8", "title": …, "family": …, "fragments": [
            {"row": 346, "kind": …, "text": …, "sanction": …, "priority": …, "iaas": …, "paas": …, "saas": …}]}]}

A packet keeps the units that `controls` has statements about, as they are in this file. A catalog in which one of them
is missing or has other rows is refused: the statements would stand beside texts that they were not written for.
"""

from collections.abc import Iterator
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from cji_audit.packet.controls import Control, Controls, Part
from cji_audit.packet.errors import PacketError
from cji_core.documents import decode
from cji_core.strict import StrictError

MAX_BYTES: Final = 8 << 20
_Text = Annotated[str, Meta(max_length=16_384)]
_REMEDY: Final = "Give the Requirements Companion of version {} as JSON; docs/audit-packet.md has its form."


class Fragment(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the companion. Responsibilities are those that it gives per service model; None where it has none."""

    row: Annotated[int, Meta(ge=1, le=1_000_000)]
    text: _Text
    priority: _Text | None = None
    sanction: _Text | None = None
    iaas: _Text | None = None
    paas: _Text | None = None
    saas: _Text | None = None


class Unit(msgspec.Struct, frozen=True, kw_only=True):
    """A control or an enhancement."""

    id: _Text
    title: _Text
    family: _Text
    fragments: Annotated[tuple[Fragment, ...], Meta(max_length=4096)]


class Catalog(msgspec.Struct, frozen=True, kw_only=True):
    """The companion, or the part of it that a packet keeps."""

    version: _Text
    source: _Text = ""
    published: _Text = ""
    transcription: _Text = ""
    units: Annotated[tuple[Unit, ...], Meta(max_length=4096)]

    def parts(self, of: Controls) -> Iterator[tuple[Unit, Control, Part, tuple[Fragment, ...]]]:
        """Each part with its unit and its fragments, in the order of the catalog."""
        by_id = {control.id: control for control in of.controls}
        for unit in self.units:
            control, fragments = by_id[unit.id], {each.row: each for each in unit.fragments}
            for part in sorted(control.parts, key=lambda each: each.numbers[0]):
                yield unit, control, part, tuple(fragments[n] for n in part.numbers)


def read_catalog(data: bytes, of: Controls) -> Catalog:
    """The units of `of` in the order of the catalog, those of a family together, where its first one stands.

    PacketError names the unit that does not fit.
    """
    remedy = _REMEDY.format(of.version)
    if len(data) > MAX_BYTES:
        raise PacketError("The catalog is larger than 8 MiB", remedy)
    try:
        found = decode(data, Catalog, limit=MAX_BYTES)
    except StrictError as error:
        raise PacketError(f"The catalog cannot be read: {error}", remedy) from error
    if found.version != of.version:
        raise PacketError(f"The catalog is of version {found.version!r}, the statements of {of.version}", remedy)
    units = {unit.id: unit for unit in found.units}
    if len(units) != len(found.units):
        raise PacketError("The catalog has a unit twice", remedy)
    for control in of.controls:
        unit = units.get(control.id)
        if unit is None:
            raise PacketError(f"The catalog has no unit {control.id}", remedy)
        if tuple(sorted(each.row for each in unit.fragments)) != control.numbers:
            raise PacketError(f"The catalog has other rows of {control.id} than the statements", remedy)
    wanted = {control.id for control in of.controls}
    kept = [unit for unit in found.units if unit.id in wanted]
    families = list(dict.fromkeys(unit.family for unit in kept))
    return msgspec.structs.replace(found, units=tuple(sorted(kept, key=lambda unit: families.index(unit.family))))
