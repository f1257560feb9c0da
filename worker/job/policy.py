"""The worker's policy: a TOML file that denies everything that it does not list.

    submitter (certificate URI SAN, signing key, suites) -> agency (ORI) -> purpose code -> operations
                                                                 -> recipients (key ids)

Contract and invariants
* A policy is loaded whole or not at all: unknown keys, empty lists, duplicate entries, wildcards, unknown purposes or
  operations, and bad keys are `PolicyInvalid`. A loaded policy does not change; its digest is that of the file's bytes.
* `authorise` returns a `Grant`, which nothing else can construct, or raises Refusal(POLICY_DENIED) without the missing
  rule. Both ORIs in the header must be agencies of this submitter; the *requesting* agency's rules apply.
* A submitter's suites are those that it lists, classical-1 if it lists none; hybrid-1 needs a pair of signing keys.
* mTLS identity and header signature must belong to the same submitter: `submitter(san)` selects it by the exact SAN,
  and the signature is verified with that submitter's key alone.

docs/policy.md has the schema with an example.
"""

import hashlib
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Annotated, Final

import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from msgspec import Meta

from worker.errors import Reason, Refusal, Stage
from worker.job.header import Header
from worker.job.identity import MAX_TENANTS, EntraRule, identity_sha256
from worker.job.limits import LIMITS
from worker.job.ori import ORI_PREFIXES, is_ori
from worker.jose import VerifyingKey, key_id, parse_verifying
from worker.pairs import VerifyingPair
from worker.suites import Suite
from worker.verified import _CONSTRUCTOR_KEY, Verified
from worker.wire.v1 import worker_pb2

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


class _Rule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    code: _Code
    operations: Annotated[tuple[str, ...], Meta(min_length=1)]


class _Agency(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    ori: str
    recipients: Annotated[tuple[_KeyId, ...], Meta(min_length=1)]
    purposes: Annotated[tuple[_Rule, ...], Meta(min_length=1)]


class _Submitter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: _Name
    san: _San
    signing_key: Annotated[str, Meta(max_length=4096)]
    suites: Annotated[tuple[Suite, ...], Meta(min_length=1)] = (Suite.CLASSICAL_1,)
    entra: EntraRule | None = None
    agencies: Annotated[tuple[_Agency, ...], Meta(min_length=1)]


class _Tables(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    purpose_codes: Annotated[tuple[_Code, ...], Meta(min_length=1)] = PURPOSE_CODES
    ori_prefixes: Annotated[tuple[_Prefix, ...], Meta(min_length=1)] = tuple(sorted(ORI_PREFIXES))


class _File(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    version: Annotated[int, Meta(ge=1, le=1)]
    submitters: Annotated[tuple[_Submitter, ...], Meta(min_length=1)]
    tables: _Tables = _Tables()


class PolicyInvalid(Refusal):
    """The policy file cannot be used. `where` describes the fault for the file's author; it never reaches a caller."""

    def __init__(self, where: str) -> None:
        super().__init__(Reason.NOT_READY, stage=Stage.START)
        self.where = where

    def __str__(self) -> str:
        return f"policy: {self.where}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant(Verified):
    """The policy's authorisation for one job. Only `Policy.authorise` constructs one."""

    submitter: str
    originating_ori: str
    requesting_ori: str
    purpose_code: str
    operations: tuple[str, ...]
    recipients: tuple[str, ...]
    policy_sha384: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class _AgencyRules:
    recipients: frozenset[str]
    purposes: dict[str, frozenset[str]]


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Submitter:
    """One upstream app: the exact URI SAN of its certificate, the key that signs its headers, and its suites.

    With `entra`, each of its calls about a job needs a token of that application too.
    """

    name: str
    san: str
    signing_key: VerifyingKey
    suites: frozenset[Suite]
    entra: EntraRule | None
    rules: dict[str, _AgencyRules]

    def accept(self, suite: Suite) -> None:
        """Raise SUITE_NOT_ACCEPTED unless this submitter may send jobs of this suite."""
        if suite not in self.suites:
            raise Refusal(Reason.SUITE_NOT_ACCEPTED, stage=Stage.ADMIT)

    def __repr__(self) -> str:
        return f"Submitter(name={self.name!r})"


class Policy:
    """A loaded policy. Make one with `Policy.load`."""

    __slots__ = ("_submitters", "ori_prefixes", "purpose_codes", "sha384", "tenants")

    def __init__(self, *, file: _File, sha384: bytes) -> None:
        self.sha384: Final = sha384
        self.purpose_codes: Final = frozenset(file.tables.purpose_codes)
        self.ori_prefixes: Final = frozenset(file.tables.ori_prefixes)
        submitters = [self._checked(each, f"submitters[{i}]") for i, each in enumerate(file.submitters)]
        _distinct([each.name for each in submitters], "submitters: name used twice")
        _distinct([each.san for each in submitters], "submitters: san used twice")
        _distinct([key_id(each.signing_key) for each in submitters], "submitters: signing_key used twice")
        applications = [(each.entra.tenant, each.entra.client) for each in submitters if each.entra is not None]
        _distinct(applications, "submitters: entra application used twice")
        self.tenants: Final = frozenset(tenant for tenant, _ in applications)
        """Tenants of Microsoft Entra whose tokens some submitter needs."""
        if len(self.tenants) > MAX_TENANTS:
            raise PolicyInvalid(f"submitters: more than {MAX_TENANTS} entra tenants")
        self._submitters: Final = {each.san: each for each in submitters}

    @classmethod
    def load(cls, data: bytes) -> "Policy":
        """Return the policy in the TOML file `data` (at most 1 MiB). Raises PolicyInvalid."""
        if len(data) > LIMITS.policy_bytes:
            raise PolicyInvalid("file too large")
        try:
            file = msgspec.toml.decode(data, type=_File)
        except (msgspec.DecodeError, ValueError, RecursionError) as error:
            raise PolicyInvalid(str(error)) from error
        return cls(file=file, sha384=hashlib.sha384(data).digest())

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
        """Return the submitter whose certificate has exactly this URI SAN, else raise Refusal(POLICY_DENIED)."""
        found = self._submitters.get(san)
        if found is None:
            raise _denied()
        return found

    def authorise(self, header: Header, submitter: Submitter) -> Grant:
        """Return the grant of this submitter for this job, else raise Refusal(POLICY_DENIED).

        1. the submitter is one of this policy; 2. both ORIs are its agencies; 3. the requesting agency's rule has the
        purpose, 4. every operation and 5. every recipient.
        """
        if self._submitters.get(submitter.san) is not submitter:  # 1
            raise _denied()
        rules = submitter.rules.get(header.requesting_ori)
        if rules is None or header.originating_ori not in submitter.rules:  # 2
            raise _denied()
        operations = rules.purposes.get(header.purpose_code)  # 3
        if not operations or not header.operation_names or not operations.issuperset(header.operation_names):  # 4
            raise _denied()
        recipients = tuple(each.key_id for each in header.recipients)
        if not recipients or not rules.recipients.issuperset(recipients):  # 5
            raise _denied()
        return Grant(
            submitter=submitter.name,
            originating_ori=header.originating_ori,
            requesting_ori=header.requesting_ori,
            purpose_code=header.purpose_code,
            operations=header.operation_names,
            recipients=recipients,
            policy_sha384=self.sha384,
            constructor_key=_CONSTRUCTOR_KEY,
        )

    def _checked(self, given: _Submitter, where: str) -> Submitter:
        rules: dict[str, _AgencyRules] = {}
        for i, agency in enumerate(given.agencies):
            here = f"{where}.agencies[{i}]"
            if not is_ori(agency.ori, self.ori_prefixes):
                raise PolicyInvalid(f"{here}.ori: not an ORI under tables.ori_prefixes")
            if agency.ori in rules:
                raise PolicyInvalid(f"{here}.ori: used twice")
            _distinct(agency.recipients, f"{here}.recipients: key id used twice")
            rules[agency.ori] = _AgencyRules(
                recipients=frozenset(agency.recipients), purposes=self._purposes(agency.purposes, here)
            )
        key = _signing_key(given.signing_key, where)
        _distinct(given.suites, f"{where}.suites: suite named twice")
        if Suite.HYBRID_1 in given.suites and not isinstance(key, VerifyingPair):
            raise PolicyInvalid(f"{where}.suites: hybrid-1 needs a signing_key of `cji key new-signing --hybrid`")
        return Submitter(
            name=given.name,
            san=given.san,
            signing_key=key,
            suites=frozenset(given.suites),
            entra=given.entra,
            rules=rules,
        )

    def _purposes(self, given: tuple[_Rule, ...], where: str) -> dict[str, frozenset[str]]:
        purposes: dict[str, frozenset[str]] = {}
        for i, rule in enumerate(given):
            here = f"{where}.purposes[{i}]"
            if rule.code not in self.purpose_codes:
                raise PolicyInvalid(f"{here}.code: not in tables.purpose_codes")
            if rule.code in purposes:
                raise PolicyInvalid(f"{here}.code: used twice")
            if not OPERATIONS.issuperset(rule.operations):
                raise PolicyInvalid(f"{here}.operations: this worker has no such operation")
            _distinct(rule.operations, f"{here}.operations: operation named twice")
            purposes[rule.code] = frozenset(rule.operations)
        return purposes


def _denied() -> Refusal:
    return Refusal(Reason.POLICY_DENIED, stage=Stage.ADMIT)


def _distinct(values: Sequence[Hashable], where: str) -> None:
    if len(set(values)) != len(values):
        raise PolicyInvalid(where)


def _signing_key(text: str, where: str) -> VerifyingKey:
    try:
        if text.lstrip().startswith("{"):
            return parse_verifying(text)
        key = load_pem_public_key(text.encode())
    except (ValueError, UnsupportedAlgorithm) as error:
        raise PolicyInvalid(
            f"{where}.signing_key: neither PEM nor JWK of a P-384 public key, nor JWK of a pair"
        ) from error
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP384R1):
        raise PolicyInvalid(f"{where}.signing_key: not a P-384 key")
    return key
