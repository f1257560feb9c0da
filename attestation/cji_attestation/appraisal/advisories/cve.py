"""The table beside CVE records (cvelistV5, CVE JSON 5): what AMD published, as files that an operator fetched.

A record states products and versions of AMD's Platform Initialization firmware, and refers to a bulletin. It has no
level that a report could be compared with, so it corrects no row by itself: it shows which rows to read again.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final, Literal, NamedTuple, get_args

import msgspec

from cji_attestation.appraisal.advisories.products import Product
from cji_attestation.appraisal.advisories.table import Advisory
from cji_attestation.errors import AttestationError, Fault
from cji_attestation.strict import parse_object
from cji_core.documents import convert

Kind = Literal["not in the table", "rejected", "another bulletin", "newer than the row", "other firmware", "no record"]
MOST_RECORD_BYTES: Final = 1 << 20
_BULLETIN: Final = re.compile(r"amd-sb-(\d{4})", re.ASCII | re.IGNORECASE)
_PI: Final = re.compile(
    rf"({'|'.join(get_args(Product))})[ _-]?PI[ _-]{{0,3}}(?:SP\d[ _-])?v?(\d+(?:\.[0-9A-Za-z]+){{1,7}})", re.ASCII
)
_SERVER: Final = re.compile(r"EPYC.{0,40}(?:7003|8004|9004|9005|97x4)", re.ASCII | re.DOTALL)


class Difference(NamedTuple):
    """One thing to look at: the CVE, the row's id where there is one, and the particulars."""

    kind: Kind
    cve: str
    row: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CveRecord:
    """One record, as far as it matters. `servers` is whether it names a processor that the table is about."""

    cve: str
    rejected: bool
    updated: date | None
    title: str
    bulletins: tuple[str, ...]
    fixed_by: tuple[tuple[Product, str], ...]
    servers: bool


class _Version(msgspec.Struct, frozen=True):
    status: str = ""
    version: str = ""


class _Affected(msgspec.Struct, frozen=True):
    vendor: str = ""
    product: str = ""
    versions: list[_Version] = []


class _Reference(msgspec.Struct, frozen=True):
    url: str = ""


class _Cna(msgspec.Struct, frozen=True):
    title: str = ""
    affected: list[_Affected] = []
    references: list[_Reference] = []


class _Containers(msgspec.Struct, frozen=True):
    cna: _Cna


class _Metadata(msgspec.Struct, frozen=True, rename="camel"):
    cve_id: str
    state: Literal["PUBLISHED", "REJECTED"]
    date_updated: str = ""


class _Record(msgspec.Struct, frozen=True, rename="camel"):
    data_type: Literal["CVE_RECORD"]
    cve_metadata: _Metadata
    containers: _Containers


def read_cve(data: bytes) -> CveRecord:
    """One record; ValueError for anything else."""
    try:
        found = parse_object(data, limit=MOST_RECORD_BYTES, fault=Fault.CONFIG_INVALID, check="cve")
    except AttestationError as error:
        raise ValueError("not a CVE record") from error
    record = convert(found, _Record)  # its errors are ValueErrors
    cna, about = record.containers.cna, record.cve_metadata
    amd = [one for one in cna.affected if "AMD" in one.vendor or "Advanced Micro" in one.vendor]
    fixed = [each.version for one in amd for each in one.versions if each.status == "unaffected"]
    stated = [(pi[1], pi[2]) for text in fixed for pi in _PI.finditer(text)]
    return CveRecord(
        cve=about.cve_id,
        rejected=about.state == "REJECTED",
        updated=date.fromisoformat(about.date_updated[:10]) if about.date_updated else None,
        title=cna.title,
        bulletins=_unique(f"AMD-SB-{one[1]}" for ref in cna.references for one in _BULLETIN.finditer(ref.url)),
        fixed_by=tuple(dict.fromkeys(convert(stated, list[tuple[Product, str]]))),
        servers=bool(stated) or any(_SERVER.search(one.product) for one in amd),
    )


def differences(rows: Sequence[Advisory], records: Iterable[CveRecord]) -> tuple[Difference, ...]:
    """Facts that only the records have, in the order of the records; then the rows without a record."""
    by_cve = {cve: row for row in rows for cve in row.cves}
    published = {record.cve: record for record in records}
    found = [one for record in published.values() for one in _differences(by_cve.get(record.cve), record)]
    absent = [Difference("no record", cve, row.id, "") for cve, row in by_cve.items() if cve not in published]
    return (*found, *absent)


def _differences(row: Advisory | None, record: CveRecord) -> Iterator[Difference]:
    if row is None:
        if record.servers and not record.rejected:
            yield Difference("not in the table", record.cve, "", f"{' '.join(record.bulletins)} {record.title}".strip())
        return
    if record.rejected:
        yield Difference("rejected", record.cve, row.id, record.title)
    if record.bulletins and row.id not in record.bulletins:
        yield Difference("another bulletin", record.cve, row.id, " ".join(record.bulletins))
    if record.updated is not None and record.updated > row.read:
        yield Difference("newer than the row", record.cve, row.id, f"updated {record.updated}, read {row.read}")
    for product, pi in record.fixed_by:
        if row.pi.get(product) != pi:
            detail = f"{product}: {pi}, the row has {row.pi.get(product) or 'none'}"
            yield Difference("other firmware", record.cve, row.id, detail)


def _unique(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(texts))
