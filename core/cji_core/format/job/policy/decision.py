"""The loaded policy, and its decision on one job.

Contract and invariants
* A loaded policy does not change; its digest is that of the file's bytes. Its serial orders the policies of a worker.
* `authorise` returns a `Grant`, which nothing else can construct, or raises `Denied`: POLICY_DENIED for the caller, the
  rule for the audit trail. Both ORIs in the header must be agencies of this submitter, each with an
  agreement in force; the *requesting* agency's rules apply.
* A job with several operations needs a rule for each, and gets only what all of them allow.
* A submitter's suites are those that it lists, classical-1 if it lists none; hybrid-1 needs a pair of signing keys.
* mTLS identity and header signature must belong to the same submitter: `submitter(san)` selects it by the exact SAN,
  and the signature is verified with that submitter's key alone, or on the days that its policy names, its other one.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import reduce
from operator import and_
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec

from cji_core.certs import WrongKey, load_ec_public_key
from cji_core.errors import Denied, DeniedBy, Reason, Refusal, Stage
from cji_core.format.job.header import Header
from cji_core.format.job.identity import EntraRule, identity_sha256
from cji_core.format.job.policy.columns import ReferenceUse, SealedColumns, authorise_columns
from cji_core.format.job.policy.file import (
    AgencyTable,
    Agreement,
    OtherKey,
    PolicyFile,
    PolicyInvalid,
    RuleTable,
    SealedColumnsTable,
    SubmitterTable,
    distinct,
    read,
)
from cji_core.format.job.policy.grant import AccessRequest, ConfirmationKey, Grant, Rule
from cji_core.jose import VerifyingKey, key_id, parse_verifying, public_jwk
from cji_core.pairs import VerifyingPair
from cji_core.strict import hex_decode
from cji_core.suites import Suite
from cji_core.verified import _CONSTRUCTOR_KEY


@dataclass(frozen=True, slots=True, kw_only=True)
class Agency:
    """An agency of a submitter; `purposes` has the rule of each operation by purpose code.

    `sealed_columns` is granted to jobs on this agency's records, those of which it is the originating agency.
    """

    agreement: Agreement
    jobs_per_day: int
    sealed_columns: SealedColumns | None
    purposes: Mapping[str, Mapping[str, Rule]]


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Submitter:
    """One upstream app: the exact URI SAN of its certificate, the key that signs its headers, and its suites.

    `other_key` is a second one on some days, for the time in which a submitter changes its key.

    With `entra`, each of its calls about a job needs a token of that application too.
    """

    name: str
    san: str
    signing_key: VerifyingKey
    other_key: tuple[VerifyingKey, OtherKey] | None
    suites: frozenset[Suite]
    entra: EntraRule | None
    agencies: Mapping[str, Agency]

    def signing_keys(self, day: date) -> tuple[VerifyingKey, ...]:
        """The keys that may have signed a header that comes on this day, in UTC."""
        if self.other_key is None or not self.other_key[1].in_force(day):
            return (self.signing_key,)
        return self.signing_key, self.other_key[0]

    def accept(self, suite: Suite) -> None:
        """Raise SUITE_NOT_ACCEPTED unless this submitter may send jobs of this suite."""
        if suite not in self.suites:
            raise Refusal(Reason.SUITE_NOT_ACCEPTED, stage=Stage.ADMIT)

    def __repr__(self) -> str:
        return f"Submitter(name={self.name!r})"


class Policy:
    """A loaded policy. Make one with `Policy.load`."""

    __slots__ = ("_submitters", "ori_prefixes", "purpose_codes", "serial", "sha384", "signers")

    def __init__(self, *, file: PolicyFile, sha384: bytes, signers: tuple[str, ...]) -> None:
        self.sha384: Final = sha384
        self.signers: Final = signers
        self.serial: Final = file.serial
        self.purpose_codes: Final = frozenset(file.tables.purpose_codes)
        self.ori_prefixes: Final = frozenset(file.tables.ori_prefixes)
        submitters = [_submitter(each, f"submitters[{i}]") for i, each in enumerate(file.submitters)]
        others = [each.other_key[0] for each in submitters if each.other_key is not None]
        named = [key_id(key) for key in (*(each.signing_key for each in submitters), *others)]
        distinct(named, "submitters: signing_key used twice")
        _require_other_keys(submitters, others)
        self._submitters: Final = {each.san: each for each in submitters}

    @classmethod
    def load(cls, data: bytes, *, signers: tuple[str, ...] = ()) -> "Policy":
        """Return the policy in the TOML file `data` (at most 1 MiB). Raises PolicyInvalid.

        `signers` are the thumbprints of the keys whose signatures on `data` were verified.
        """
        return cls(file=read(data), sha384=hashlib.sha384(data).digest(), signers=signers)

    def __iter__(self) -> Iterator[Submitter]:
        """The submitters, in the order of the file."""
        return iter(self._submitters.values())

    @property
    def tenants(self) -> frozenset[str]:
        """Tenants of Microsoft Entra whose tokens some submitter needs."""
        return frozenset(each.entra.tenant for each in self if each.entra is not None)

    @property
    def agreed_until(self) -> datetime:
        """The end of the first agreement that ends, in UTC."""
        last = min(agency.agreement.until for each in self for agency in each.agencies.values())
        return datetime.combine(last, time.min, UTC) + timedelta(days=1)

    @property
    def identities(self) -> tuple[bytes, ...]:
        """`identity_sha256` of every submitter's URI SAN."""
        return tuple(map(identity_sha256, self._submitters))

    def removed_in(self, other: "Policy") -> frozenset[str]:
        """The names of the submitters that `other` does not have under the same URI SAN."""
        return frozenset(
            each.name
            for san, each in self._submitters.items()
            if san not in other._submitters or other._submitters[san].name != each.name
        )

    def submitter(self, san: str) -> Submitter:
        """Return the submitter whose certificate has exactly this URI SAN, else raise Denied."""
        found = self._submitters.get(san)
        if found is None:
            raise Denied(DeniedBy.SUBMITTER)
        return found

    def authorise(self, asked: AccessRequest, submitter: Submitter, *, day: date) -> Grant:
        """Return the grant of this submitter for this job on this day in UTC, else raise Denied.

        1. the submitter is one of this policy; 2. both ORIs are its agencies, 3. and their agreements are in force;
        the requesting agency's rules have the purpose, 4. every operation, and for each of these 5. every class of
        data and 6. every recipient, of which one is of each escrow; 7. the declared rows are within the limit.
        """
        if self._submitters.get(submitter.san) is not submitter:  # 1
            raise Denied(DeniedBy.SUBMITTER)
        agency = submitter.agencies.get(asked.requesting_ori)  # 2
        if agency is None:
            raise Denied(DeniedBy.REQUESTING_AGENCY)
        originating = submitter.agencies.get(asked.originating_ori)
        if originating is None:
            raise Denied(DeniedBy.ORIGINATING_AGENCY)
        if not (agency.agreement.in_force(day) and originating.agreement.in_force(day)):  # 3
            raise Denied(DeniedBy.AGREEMENT)
        rules = agency.purposes.get(asked.purpose_code)  # 4
        if rules is None:
            raise Denied(DeniedBy.PURPOSE)
        if not asked.operations or not rules.keys() >= set(asked.operations):
            raise Denied(DeniedBy.OPERATION)
        rule = reduce(and_, (rules[name] for name in asked.operations))
        grant = Grant(
            submitter=submitter.name,
            originating_ori=asked.originating_ori,
            requesting_ori=asked.requesting_ori,
            purpose_code=asked.purpose_code,
            operations=asked.operations,
            recipients=asked.recipients,
            rule=rule,
            jobs_per_day=agency.jobs_per_day,
            policy_sha384=self.sha384,
            constructor_key=_CONSTRUCTOR_KEY,
        )
        grant.require_data_classes(asked.data_classes)  # 5
        grant.require_recipients()  # 6
        if asked.rows > rule.rows:  # 7
            raise Denied(DeniedBy.ROWS)
        return grant

    def authorise_columns(
        self, header: Header, submitter: Submitter, *, reference: ReferenceUse | None, now: datetime
    ) -> None:
        """Return if a job of this submitter that `authorise` grants may use its column keys, else raise Denied."""
        agency = submitter.agencies.get(header.originating_ori)
        granted = None if agency is None else agency.sealed_columns
        authorise_columns(header, granted, reference=reference, now=now)


def _require_other_keys(submitters: Sequence[Submitter], others: Sequence[VerifyingKey]) -> None:
    """No key that signs headers confirms counts: a submitter is not a second witness of its own job."""
    signing = {half for key in (*(each.signing_key for each in submitters), *others) for half in _halves(key)}
    for submitter in submitters:
        purposes = (each for agency in submitter.agencies.values() for each in agency.purposes.values())
        rules = (rule for each in purposes for rule in each.values())
        if any(_halves(parse_verifying(one.jwk)) & signing for rule in rules for one in rule.confirmations):
            raise PolicyInvalid(f"submitters: {submitter.name} has a confirmation key that signs headers")


def _halves(key: VerifyingKey) -> frozenset[str]:
    """The thumbprints of a key, and of the P-384 half of a pair."""
    return frozenset({key_id(key), key_id(key.p384)} if isinstance(key, VerifyingPair) else {key_id(key)})


def _submitter(given: SubmitterTable, where: str) -> Submitter:
    key, other = _signing_key(given.signing_key, f"{where}.signing_key"), None
    if given.other_key is not None:
        other = _signing_key(given.other_key.key, f"{where}.other_key.key"), given.other_key
    keys = [key] if other is None else [key, other[0]]
    if Suite.HYBRID_1 in given.suites and not all(isinstance(each, VerifyingPair) for each in keys):
        raise PolicyInvalid(f"{where}.suites: hybrid-1 needs a signing_key of `cji key new-signing --hybrid`")
    agencies = {each.ori: _agency(each, where) for each in given.agencies}
    return Submitter(
        name=given.name,
        san=given.san,
        signing_key=key,
        other_key=other,
        suites=frozenset(given.suites),
        entra=given.entra,
        agencies=agencies,
    )


def _confirmations(rule: RuleTable, where: str) -> frozenset[ConfirmationKey]:
    keys = [(one, _signing_key(one.key, where)) for one in rule.confirmations or ()]
    found = [
        ConfirmationKey(each.recipient, key_id(key), public_jwk(key), each.starts, each.until) for each, key in keys
    ]
    distinct([(each.recipient, each.key_id) for each in found], f"{where}: key used twice for a recipient")
    return frozenset(found)


def _agency(given: AgencyTable, where: str) -> Agency:
    return Agency(
        agreement=given.agreement,
        jobs_per_day=given.jobs_per_day,
        sealed_columns=_sealed_columns(given.sealed_columns, where),
        purposes={
            purpose.code: {
                operation: Rule(
                    data_classes=frozenset(rule.data_classes),
                    recipients=frozenset(rule.recipients),
                    escrow=frozenset(frozenset(each.one_of) for each in (*(given.escrow or ()), *(rule.escrow or ()))),
                    secondary_recipients=frozenset(rule.secondary_recipients or ()),
                    confirmations=_confirmations(rule, f"{where}.agencies: confirmations"),
                    rows=rule.limits.rows,
                    bytes=rule.limits.bytes,
                )
                for rule in purpose.rules
                for operation in rule.operations
            }
            for purpose in given.purposes
        },
    )


def _sealed_columns(given: SealedColumnsTable | None, where: str) -> SealedColumns | None:
    if given is None:
        return None
    return SealedColumns(
        signing_key=_signing_key(given.signing_key, f"{where}.agencies: sealed_columns.signing_key"),
        statements=frozenset(map(hex_decode, given.statements)),
    )


def _signing_key(text: str, where: str) -> VerifyingKey:
    try:
        if text.lstrip().startswith("{"):
            return parse_verifying(text)
        if text.count("-----BEGIN") != 1:  # a reader of the file could take another one for the key
            raise ValueError("not one PEM")
        return load_ec_public_key(text.encode(), ec.SECP384R1)
    except WrongKey as error:
        raise PolicyInvalid(f"{where}: not a P-384 key") from error
    except ValueError as error:
        raise PolicyInvalid(f"{where}: neither PEM nor JWK of a P-384 public key, nor JWK of a pair") from error
