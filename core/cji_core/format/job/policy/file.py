"""The policy's TOML file: its keys and their shapes. Nothing in it has a default that grants anything.

Unknown keys, empty lists, repeated entries, wildcards, unknown purposes, operations or data classes, and dates that end
before they begin are `PolicyInvalid`: a file is read whole or not at all.
"""

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from cji_core.data_classes import DataClass
from cji_core.digests import Hex96
from cji_core.documents import toml
from cji_core.errors import Reason, Refusal, Stage
from cji_core.format.job.identity import MAX_TENANTS, EntraRule
from cji_core.format.job.limits import LIMITS
from cji_core.format.job.ori import ORI_PREFIXES, is_ori
from cji_core.format.job.texts import BadTextError, require_text
from cji_core.suites import Suite
from cji_core.wire.v1 import worker_pb2

VERSION: Final = 2
OTHER_KEY: Final = timedelta(days=92)
"""The longest time for which a submitter may have two signing keys."""

# NIEM `j:RapSheetPurposeCode`: administrative file maintenance, criminal justice, domestic violence and stalking,
# firearms checks, public housing, interstate-approved licensing, criminal justice employment, FBI, national security,
# visa, exigent caregiver checks. States extend the table in their policy.
PURPOSE_CODES: Final = ("A", "C", "D", "F", "H", "I", "J", "R", "S", "V", "X")
OPERATIONS: Final = frozenset(each.name for each in worker_pb2.Operation.DESCRIPTOR.oneofs_by_name["operation"].fields)

# An absolute URI without wildcard, query, fragment or blank (RFC 5280 §4.2.1.6: a SAN URI is absolute).
_San = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9+.-]*://[A-Za-z0-9._~:/@%-]+\Z", max_length=LIMITS.url_bytes)]
_Name = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}\Z")]
_Code = Annotated[str, Meta(pattern=r"^[A-Z0-9]{1,3}\Z")]
_KeyId = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{43}\Z")]
_Prefix = Annotated[str, Meta(pattern=r"^[A-Z0-9]{2}\Z")]
_Text = Annotated[str, Meta(min_length=1, max_length=LIMITS.text_bytes)]
_Count = Annotated[int, Meta(ge=1, le=(1 << 53) - 1)]


class _Table(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of all tables of the file."""


class LimitsTable(_Table, frozen=True, kw_only=True):
    """The largest job: rows and ciphertext bytes of all input parts together."""

    rows: _Count
    bytes: Annotated[int, Meta(ge=1, le=LIMITS.job_bytes)]


class ConfirmationTable(_Table, frozen=True, kw_only=True):
    """A key that may confirm the counts of results for `recipient`, and its first and last day, in UTC."""

    recipient: _KeyId
    key: Annotated[str, Meta(max_length=4096)]
    starts: date = msgspec.field(name="from")
    until: date


class EscrowTable(_Table, frozen=True, kw_only=True):
    """Keys of which one must be a recipient of every job: one and its successor, or those of two suites."""

    one_of: Annotated[tuple[_KeyId, ...], Meta(min_length=1)]


_Escrow = Annotated[tuple[EscrowTable, ...], Meta(min_length=1)] | None


class RuleTable(_Table, frozen=True, kw_only=True):
    """Operations on the same data for the same recipients. Without `secondary_recipients`, a job may name none.

    `confirmations` decide about no job: their readers are auditors.
    """

    operations: Annotated[tuple[str, ...], Meta(min_length=1)]
    data_classes: Annotated[tuple[DataClass, ...], Meta(min_length=1)]
    recipients: Annotated[tuple[_KeyId, ...], Meta(min_length=1)]
    secondary_recipients: Annotated[tuple[_Text, ...], Meta(min_length=1)] | None = None
    escrow: _Escrow = None
    confirmations: Annotated[tuple[ConfirmationTable, ...], Meta(min_length=1)] | None = None
    limits: LimitsTable


class PurposeTable(_Table, frozen=True, kw_only=True):
    """The rules of one purpose."""

    code: _Code
    rules: Annotated[tuple[RuleTable, ...], Meta(min_length=1)]


class Agreement(_Table, frozen=True, kw_only=True):
    """The agreement between the agency and the operator of the worker, and its first and last day, in UTC."""

    id: _Text
    starts: date = msgspec.field(name="from")
    until: date

    def in_force(self, day: date) -> bool:
        """Whether it holds on this day."""
        return self.starts <= day <= self.until


class SealedColumnsTable(_Table, frozen=True, kw_only=True):
    """The statements on column keys that are granted, by SHA-384, and the agency's key that signed them."""

    signing_key: Annotated[str, Meta(max_length=4096)]
    statements: Annotated[tuple[Hex96, ...], Meta(min_length=1)]


class AgencyTable(_Table, frozen=True, kw_only=True):
    """An agency that the submitter may act for. Its `escrow` is that of all its rules, beside their own."""

    ori: str
    agreement: Agreement
    jobs_per_day: _Count
    escrow: _Escrow = None
    sealed_columns: SealedColumnsTable | None = None
    purposes: Annotated[tuple[PurposeTable, ...], Meta(min_length=1)]


class OtherKey(_Table, frozen=True, kw_only=True):
    """A second signing key while one replaces the other, and its first and last day, in UTC."""

    key: Annotated[str, Meta(max_length=4096)]
    starts: date = msgspec.field(name="from")
    until: date

    def in_force(self, day: date) -> bool:
        """Whether it is accepted on this day."""
        return self.starts <= day <= self.until


class SubmitterTable(_Table, frozen=True, kw_only=True):
    """One upstream app; with `entra`, each of its calls about a job needs a token of that application too."""

    name: _Name
    san: _San
    signing_key: Annotated[str, Meta(max_length=4096)]
    other_key: OtherKey | None = None
    suites: Annotated[tuple[Suite, ...], Meta(min_length=1)] = (Suite.CLASSICAL_1,)
    entra: EntraRule | None = None
    agencies: Annotated[tuple[AgencyTable, ...], Meta(min_length=1)]


class CodeTables(_Table, frozen=True, kw_only=True):
    """The purpose codes and ORI prefixes that the file may use."""

    purpose_codes: Annotated[tuple[_Code, ...], Meta(min_length=1)] = PURPOSE_CODES
    ori_prefixes: Annotated[tuple[_Prefix, ...], Meta(min_length=1)] = tuple(sorted(ORI_PREFIXES))


class PolicyFile(_Table, frozen=True, kw_only=True):
    """The whole file."""

    version: Annotated[int, Meta(ge=VERSION, le=VERSION)]
    serial: Annotated[int, Meta(ge=0, le=(1 << 53) - 1)] = 0
    submitters: Annotated[tuple[SubmitterTable, ...], Meta(min_length=1)]
    tables: CodeTables = CodeTables()


class PolicyInvalid(Refusal):
    """The policy file cannot be used. `where` describes the fault for the file's author; it never reaches a caller."""

    def __init__(self, where: str) -> None:
        super().__init__(Reason.NOT_READY, stage=Stage.START)
        self.where = where

    def __str__(self) -> str:
        return f"policy: {self.where}"


def read(data: bytes) -> PolicyFile:
    """The file (at most 1 MiB of TOML), with everything checked but the signing keys. Raises PolicyInvalid."""
    if len(data) > LIMITS.policy_bytes:
        raise PolicyInvalid("file too large")
    try:
        file = toml(data, PolicyFile)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise PolicyInvalid(str(error)) from error
    distinct([each.name for each in file.submitters], "submitters: name used twice")
    distinct([each.san for each in file.submitters], "submitters: san used twice")
    distinct(file.tables.purpose_codes, "tables.purpose_codes: code named twice")
    distinct(file.tables.ori_prefixes, "tables.ori_prefixes: prefix named twice")
    _check_applications([each.entra for each in file.submitters if each.entra is not None])
    for i, submitter in enumerate(file.submitters):
        here = f"submitters[{i}]"
        distinct(submitter.suites, f"{here}.suites: suite named twice")
        _check_other_key(submitter.other_key, f"{here}.other_key")
        distinct([each.ori for each in submitter.agencies], f"{here}.agencies: ori used twice")
        for j, agency in enumerate(submitter.agencies):
            _check_agency(agency, file.tables, f"{here}.agencies[{j}]")
    return file


def distinct(values: Sequence[object], where: str) -> None:
    """Raise PolicyInvalid if a value occurs twice."""
    if len(set(values)) != len(values):
        raise PolicyInvalid(where)


def _check_applications(rules: Sequence[EntraRule]) -> None:
    distinct([(each.tenant, each.client) for each in rules], "submitters: entra application used twice")
    if len({each.tenant for each in rules}) > MAX_TENANTS:
        raise PolicyInvalid(f"submitters: more than {MAX_TENANTS} entra tenants")


def _check_other_key(key: OtherKey | None, where: str) -> None:
    if key is not None and not timedelta(0) <= key.until - key.starts < OTHER_KEY:
        raise PolicyInvalid(f"{where}: until is before from, or they are more than {OTHER_KEY.days} days")


def _check_agency(agency: AgencyTable, tables: CodeTables, where: str) -> None:
    if not is_ori(agency.ori, frozenset(tables.ori_prefixes)):
        raise PolicyInvalid(f"{where}.ori: not an ORI under tables.ori_prefixes")
    _check_text(agency.agreement.id, f"{where}.agreement.id")
    if agency.agreement.until < agency.agreement.starts:
        raise PolicyInvalid(f"{where}.agreement: until is before from")
    if agency.sealed_columns is not None:
        distinct(agency.sealed_columns.statements, f"{where}.sealed_columns: statement named twice")
    distinct([each.code for each in agency.purposes], f"{where}.purposes: code used twice")
    for i, purpose in enumerate(agency.purposes):
        here = f"{where}.purposes[{i}]"
        if purpose.code not in tables.purpose_codes:
            raise PolicyInvalid(f"{here}.code: not in tables.purpose_codes")
        named = [operation for rule in purpose.rules for operation in rule.operations]
        distinct(named, f"{here}.rules: operation named twice")
        for j, rule in enumerate(purpose.rules):
            _check_rule(rule, f"{here}.rules[{j}]")
            _check_escrow((*(agency.escrow or ()), *(rule.escrow or ())), rule, f"{here}.rules[{j}]")


def _check_escrow(escrow: Sequence[EscrowTable], rule: RuleTable, where: str) -> None:
    """`recipients` names everybody who may open results: a key that is not there could not be demanded."""
    distinct([frozenset(each.one_of) for each in escrow], f"{where}.escrow: the same keys twice, or as its agency's")
    for each in escrow:
        distinct(each.one_of, f"{where}.escrow: key id used twice")
        if not set(each.one_of) <= set(rule.recipients):
            raise PolicyInvalid(f"{where}.recipients: lacks a key of escrow")


def _check_rule(rule: RuleTable, where: str) -> None:
    if not OPERATIONS.issuperset(rule.operations):
        raise PolicyInvalid(f"{where}.operations: this worker has no such operation")
    if DataClass.NONE in rule.data_classes:
        raise PolicyInvalid(f"{where}.data_classes: none is not a class of records")
    distinct(rule.data_classes, f"{where}.data_classes: class named twice")
    distinct(rule.recipients, f"{where}.recipients: key id used twice")
    secondary = rule.secondary_recipients or ()
    distinct(secondary, f"{where}.secondary_recipients: name used twice")
    for text in secondary:
        _check_text(text, f"{where}.secondary_recipients")
        if "*" in text:
            raise PolicyInvalid(f"{where}.secondary_recipients: names are compared exactly, * stands for no other")
    for i, each in enumerate(rule.confirmations or ()):
        if each.recipient not in rule.recipients:
            raise PolicyInvalid(f"{where}.confirmations[{i}].recipient: not a recipient of this rule")
        if each.until < each.starts:
            raise PolicyInvalid(f"{where}.confirmations[{i}]: until is before from")


def _check_text(text: str, where: str) -> None:
    try:
        require_text(text)
    except (BadTextError, UnicodeError) as error:
        raise PolicyInvalid(f"{where}: not a printable text of at most {LIMITS.text_bytes} bytes") from error
