"""Expected grants and denials of a policy, as a TOML file of cases, and what the policy decides about each."""

import re
from datetime import date
from pathlib import Path
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from cji_core.command.common import Failure
from cji_core.digests import Hex96
from cji_core.documents import toml
from cji_core.errors import Denied, DeniedBy
from cji_core.format.job import AccessRequest, Policy
from cji_core.format.job.policy import Submitter
from cji_core.format.records import SCHEMAS, data_classes
from cji_core.strict import hex_decode

GRANTED: Final = "granted"
_DECISIONS: Final = (GRANTED, *DeniedBy)
_MAX_BYTES: Final = 1 << 20
_CASE: Final = re.compile(r"\s*\[\[\s*cases\s*\]\]")
_Count = Annotated[int, Meta(ge=0)]


class Case(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One job. `schemas` are those of its input parts, `rows` those that its header declares, `bytes` their size.

    `jobs_today` were admitted before it; it carries statements on column keys with the SHA-384 of `column_statements`.
    `expect` is "granted" or the rule that denies, `line` its place in the file.
    """

    submitter: str
    requesting_ori: str
    originating_ori: str | None = None
    purpose: str
    operations: tuple[str, ...]
    schemas: tuple[str, ...]
    recipients: tuple[str, ...]
    secondary_recipient: str = ""
    rows: _Count = 0
    bytes: _Count = 0
    jobs_today: _Count = 0
    column_statements: tuple[Hex96, ...] = ()
    on: date | None = None
    expect: str
    line: int = 0


class _File(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    cases: Annotated[tuple[Case, ...], Meta(min_length=1)]


def read_cases(path: Path) -> tuple[Case, ...]:
    """The cases of a file with their lines. Raises Failure with status 2."""
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
        if len(data) > _MAX_BYTES:
            raise ValueError("larger than 1 MiB")
        cases = toml(data, _File).cases
        lines = [number for number, line in enumerate(data.decode().split("\n"), 1) if _CASE.match(line)]
        if len(lines) != len(cases):
            raise ValueError("every case must be a table of its own, [[cases]]")
        for case in cases:
            if case.expect not in _DECISIONS:
                raise ValueError(f"expect is none of {', '.join(_DECISIONS)}")
            if unknown := set(case.schemas) - SCHEMAS.keys():
                raise ValueError(f"no such schema: {', '.join(sorted(unknown))}")
    except OSError as error:
        raise Failure(f"{path} cannot be read: {error.strerror}", remedy="", status=2) from error
    except (ValueError, RecursionError) as error:  # msgspec's errors are ValueErrors
        remedy = "docs/policy.md has an example of such a file."
        raise Failure(f"{path}: {error}", remedy=remedy, status=2) from error
    return tuple(msgspec.structs.replace(case, line=line) for case, line in zip(cases, lines, strict=True))


def submitter_named(policy: Policy, name: str) -> Submitter:
    """The submitter of this name. Raises Denied."""
    found = next((each for each in policy if each.name == name), None)
    if found is None:
        raise Denied(DeniedBy.SUBMITTER)
    return found


def decide(policy: Policy, case: Case, *, day: date) -> DeniedBy | None:
    """The rule that denies this job on the day of the case, or on `day`; None if it is granted. As a worker decides."""
    asked = AccessRequest(
        originating_ori=case.requesting_ori if case.originating_ori is None else case.originating_ori,
        requesting_ori=case.requesting_ori,
        purpose_code=case.purpose,
        operations=case.operations,
        data_classes=data_classes(case.schemas),
        recipients=case.recipients,
        rows=case.rows,
    )
    try:
        submitter = submitter_named(policy, case.submitter)
        grant = policy.authorise(asked, submitter, day=case.on or day)
        columns = submitter.agencies[grant.originating_ori].sealed_columns
        if not (columns.statements if columns else frozenset()).issuperset(map(hex_decode, case.column_statements)):
            raise Denied(DeniedBy.COLUMN_KEYS)
        grant.require_job_left(case.jobs_today)
        grant.require_secondary_recipient(case.secondary_recipient)
        grant.require_input(rows=case.rows, ciphertext_bytes=case.bytes)
    except Denied as denied:
        return denied.by
    return None
