"""The results of `cji advisories` as JSON."""

from datetime import date
from typing import Annotated, Any

import msgspec

from cji_core.command.json_output import member


class Differing(msgspec.Struct, frozen=True, kw_only=True):
    """One thing to look at."""

    kind: Annotated[str, member("what differs; `no record` is the one kind that needs no look")]
    cve: Annotated[str, member("id of the CVE")]
    row: Annotated[str, member("id of the row; empty without one")]
    detail: Annotated[str, member("particulars")]


class Differences(msgspec.Struct, frozen=True, kw_only=True):
    """`cji advisories diff`: where the table in force and CVE records differ."""

    differences: Annotated[tuple[Differing, ...], member("objects of the kind Differing")]


class SignedTable(msgspec.Struct, frozen=True, kw_only=True):
    """`cji advisories update`: a signed table of advisories."""

    file: Annotated[str, member("file of the signed table")]
    rows: Annotated[int, member("number of rows")]
    reviewed: Annotated[date, member("day of its review")]
    expires: Annotated[date, member("last day on which it is in force")]
    added: Annotated[tuple[str, ...], member("ids of rows that the shipped table does not have")]
    changed: Annotated[tuple[str, ...], member("ids of rows that differ from the shipped ones")]


class SignedAcceptance(msgspec.Struct, frozen=True, kw_only=True):
    """`cji advisories accept`: a signed decision to accept risks."""

    file: Annotated[str, member("file of the signed decision")]
    id: Annotated[str, member("name of the decision")]
    advisories: Annotated[tuple[str, ...], member("ids of the advisories")]
    machines: Annotated[tuple[str, ...], member("steppings")]
    since: Annotated[date, member("first day")]
    until: Annotated[date, member("last day")]


class AdvisoryOnMachine(msgspec.Struct, frozen=True, kw_only=True):
    """An advisory on the machine of --evidence."""

    id: Annotated[str, member("its id")]
    state: Annotated[str, member("its state")]
    detail: Annotated[str, member("the reason")]
    accepted_by: Annotated[str, member("id of an acceptance; may be empty")]


class ShownTable(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`cji advisories show`: the table in force."""

    reviewed: Annotated[str, member("day of its review")]
    expires: Annotated[str, member("last day on which it is in force")]
    signed: Annotated[bool, member("whether a table of your own is in force")]
    rows: Annotated[tuple[dict[str, Any], ...], member("its rows, with the columns that docs/advisories.md explains")]
    acceptances: Annotated[
        tuple[dict[str, Any], ...], member("the decisions in force, with the options of `cji advisories accept`")
    ]
    verified: Annotated[bool | None, member("with --evidence: always false")] = None
    findings: Annotated[
        tuple[AdvisoryOnMachine, ...] | None, member("with --evidence: objects of the kind AdvisoryOnMachine")
    ] = None
