"""The request of a job, the rule of an operation, and the grant that a policy gives."""

from dataclasses import dataclass
from datetime import date
from typing import NamedTuple

from cji_core.data_classes import DataClass
from cji_core.errors import Denied, DeniedBy, Stage
from cji_core.format.job.header import Header
from cji_core.verified import Verified


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessRequest:
    """The access that a job requests (NIST SP 800-162 §2): all that the policy decides by before any key is opened.

    `rows` are those that the header declares, of all input parts together.
    """

    originating_ori: str
    requesting_ori: str
    purpose_code: str
    operations: tuple[str, ...]
    data_classes: frozenset[DataClass]
    recipients: tuple[str, ...]
    rows: int = 0


def access_request(header: Header, data_classes: frozenset[DataClass]) -> AccessRequest:
    """The request in a job's header; `data_classes` follow from the schemas of its input parts."""
    return AccessRequest(
        originating_ori=header.originating_ori,
        requesting_ori=header.requesting_ori,
        purpose_code=header.purpose_code,
        operations=header.operation_names,
        data_classes=data_classes,
        recipients=tuple(each.key_id for each in header.recipients),
        rows=sum(part.rows_declared or 0 for part in header.inputs),
    )


class ConfirmationKey(NamedTuple):
    """A key that may confirm the counts of results for `recipient` from its first to its last day, in UTC.

    `jwk` is its one encoding, `key_id` its thumbprint.
    """

    recipient: str
    key_id: str
    jwk: str
    starts: date
    until: date


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """The data and recipients of one operation, and its limits: rows and ciphertext bytes of a job's input.

    Of each set in `escrow`, one key must be among the recipients of a job.

    `confirmations` are the keys that may confirm what the recipients received. No job is decided by them.
    """

    data_classes: frozenset[DataClass]
    recipients: frozenset[str]
    escrow: frozenset[frozenset[str]]
    secondary_recipients: frozenset[str]
    confirmations: frozenset[ConfirmationKey]
    rows: int
    bytes: int

    def __and__(self, other: "Rule") -> "Rule":
        """The rule that allows what both allow."""
        return Rule(
            data_classes=self.data_classes & other.data_classes,
            recipients=self.recipients & other.recipients,
            escrow=self.escrow | other.escrow,
            secondary_recipients=self.secondary_recipients & other.secondary_recipients,
            confirmations=self.confirmations & other.confirmations,
            rows=min(self.rows, other.rows),
            bytes=min(self.bytes, other.bytes),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant(Verified):
    """The policy's authorisation for one job. Only `Policy.authorise` constructs one.

    `rule` is what all its operations allow, `jobs_per_day` the most that may be admitted of the requesting agency.
    """

    submitter: str
    originating_ori: str
    requesting_ori: str
    purpose_code: str
    operations: tuple[str, ...]
    recipients: tuple[str, ...]
    rule: Rule
    jobs_per_day: int
    policy_sha384: bytes

    def require_data_classes(self, data_classes: frozenset[DataClass]) -> None:
        """Raise Denied unless records of all these classes may be used."""
        if not data_classes or not data_classes <= self.rule.data_classes:
            raise Denied(DeniedBy.DATA_CLASS)

    def require_recipients(self) -> None:
        """Raise Denied unless the job is sealed to recipients of the rule alone, and to its escrow."""
        if not self.recipients or not self.rule.recipients.issuperset(self.recipients):
            raise Denied(DeniedBy.RECIPIENT)
        if any(keys.isdisjoint(self.recipients) for keys in self.rule.escrow):
            raise Denied(DeniedBy.ESCROW)

    def require_secondary_recipient(self, name: str) -> None:
        """Raise Denied unless results may go on to this recipient; "" is none."""
        if name and name not in self.rule.secondary_recipients:
            raise Denied(DeniedBy.SECONDARY_RECIPIENT)

    def require_input(self, *, rows: int, ciphertext_bytes: int) -> None:
        """Raise Denied for more input than a job may have."""
        if rows > self.rule.rows:
            raise Denied(DeniedBy.ROWS, stage=Stage.COMMIT)
        if ciphertext_bytes > self.rule.bytes:
            raise Denied(DeniedBy.BYTES, stage=Stage.COMMIT)

    def require_job_left(self, admitted: int) -> None:
        """Raise Denied if `admitted` jobs of this submitter and agency on this day are all that may be."""
        if admitted >= self.jobs_per_day:
            raise Denied(DeniedBy.JOBS_PER_DAY)
