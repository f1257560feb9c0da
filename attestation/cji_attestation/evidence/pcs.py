"""Intel's collateral for one processor, from Intel's Provisioning Certification Service (PCS API v4).

Six requests: TCB info by FMSPC and QE identity of TDX, each of both update channels; the CRL of the CA of the PCK and
that of the root; the chains of their issuers are in headers, URL-encoded PEM. Intel publishes a new level on the
channel "early" on the day that it discloses why, and on "standard" about a year later. The service is not trusted: all
of it is signed, and `cji_attestation.appraisal` verifies it under the pinned root.
https://api.portal.trustedservices.intel.com, "Get TDX TCB Info V4", "Get TDX Enclave Identity V4", "Get Revocation
List V4".
"""

import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from urllib.parse import unquote

import msgspec
from cryptography import x509

from cji_attestation.errors import AttestationError, Fault
from cji_attestation.evidence.bundle import TdCollateral, TdStatements
from cji_attestation.evidence.pck import PckSubject, pck_subject
from cji_attestation.evidence.service import MAX_REPLY_BYTES, TOTAL_SECONDS, request_until
from cji_attestation.strict import parse_object, text_member
from cji_attestation.trust import Endpoint, Trust, endpoint
from cji_core.https import Response
from cji_core.strict import hex_decode

KEPT_SECONDS: Final = 6 * 3600
"""How long collateral is reused without a request; Intel renews it daily and signs it for 30 days."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kept:
    collateral: TdCollateral
    fetched: float
    ends: float  # the earliest nextUpdate of its parts; both in seconds since 1970


class IntelPcs:
    """The service under one trust, and what it served last. Used by one thread at a time.

    `clock` is wall time in seconds since 1970. Collateral is fetched again after KEPT_SECONDS or when a part of it has
    expired. If Intel does not answer, unexpired parts are still used: an outage at Intel stops no machine with current
    collateral.
    """

    def __init__(self, trust: Trust, *, clock: Callable[[], float] = time.time) -> None:
        self._trust = trust
        self._clock = clock
        self._service = endpoint(trust.intel_pcs, (trust.intel_pcs,), resource="", check="intel-pcs")
        self._root_crl = endpoint(trust.intel_root_crl, (trust.intel_root_crl,), resource="", check="intel-pcs")
        self._kept: dict[PckSubject, _Kept] = {}

    def collateral(self, pck_chain: bytes) -> TdCollateral:
        """The collateral for the processor of a quote's PCK certificate chain (PEM).

        Errors: EVIDENCE_INVALID "pck"; EVIDENCE_UNAVAILABLE "pcs-tcb", "pcs-qe", "pcs-crl", "pcs-root-crl".
        """
        subject, now = pck_subject(pck_chain), self._clock()
        kept = self._kept.get(subject)
        if kept is not None and not kept.fetched <= now < kept.ends:
            kept = None
        if kept is not None and now < kept.fetched + KEPT_SECONDS:
            return kept.collateral
        try:
            found = self._fetch(subject)
            self._kept[subject] = _Kept(collateral=found, fetched=now, ends=_ends(found))
        except AttestationError:
            if kept is None:
                raise
            return kept.collateral
        return found

    def forget(self) -> None:
        """Fetch again the next time: collateral with which evidence was refused is not kept."""
        self._kept.clear()

    def _fetch(self, subject: PckSubject) -> TdCollateral:
        until = time.monotonic() + TOTAL_SECONDS

        def get(path: str, check: str, base: Endpoint = self._service) -> Response:
            return request_until(base, path=path, headers={}, roots=self._trust.tls_roots, until=until, check=check)

        standard, early = (_statements(get, subject, channel) for channel in ("standard", "early"))
        crl = get(f"/sgx/certification/v4/pckcrl?ca={subject.ca}&encoding=der", "pcs-crl")
        root_crl = get(self._root_crl.path, "pcs-root-crl", self._root_crl)
        return TdCollateral(
            pck_crl_issuer_chain=_chain(crl, "SGX-PCK-CRL-Issuer-Chain", "pcs-crl"),
            root_ca_crl=root_crl.body,
            pck_crl=crl.body,
            early=early,
            **msgspec.structs.asdict(standard),
        )


def _statements(get: Callable[[str, str], Response], subject: PckSubject, channel: str) -> TdStatements:
    """TCB info and QE identity of one update channel."""
    tcb = get(f"/tdx/certification/v4/tcb?fmspc={subject.fmspc}&update={channel}", "pcs-tcb")
    qe = get(f"/tdx/certification/v4/qe/identity?update={channel}", "pcs-qe")
    tcb_info, tcb_signature = _signed(tcb.body, "tcbInfo", "pcs-tcb")
    identity, identity_signature = _signed(qe.body, "enclaveIdentity", "pcs-qe")
    return TdStatements(
        tcb_info_issuer_chain=_chain(tcb, "TCB-Info-Issuer-Chain", "pcs-tcb"),
        tcb_info=tcb_info,
        tcb_info_signature=tcb_signature,
        qe_identity_issuer_chain=_chain(qe, "SGX-Enclave-Identity-Issuer-Chain", "pcs-qe"),
        qe_identity=identity,
        qe_identity_signature=identity_signature,
    )


def _unavailable(check: str, error: Exception | None = None) -> AttestationError:
    refusal = AttestationError(Fault.EVIDENCE_UNAVAILABLE, check=check)
    refusal.__cause__ = error
    return refusal


def _chain(reply: Response, header: str, check: str) -> str:
    try:
        return unquote(reply.headers[header.lower()], errors="strict")
    except (KeyError, UnicodeDecodeError) as error:
        raise _unavailable(check, error) from error


def _signed(body: bytes, name: str, check: str) -> tuple[str, bytes]:
    """The value of `name` exactly as it stands in the body, which is what the signature beside it is over."""
    outer = parse_object(body, limit=MAX_REPLY_BYTES, fault=Fault.EVIDENCE_UNAVAILABLE, check=check)
    signature = text_member(outer, "signature", fault=Fault.EVIDENCE_UNAVAILABLE, check=check)
    text = body.decode()
    start = re.match(rf'\s*{{\s*(?:"signature"\s*:\s*"[0-9A-Fa-f]*"\s*,\s*)?"{name}"\s*:\s*', text)
    if start is None:
        raise _unavailable(check)
    _, end = json.JSONDecoder().raw_decode(text, start.end())
    try:
        return text[start.end() : end], hex_decode(signature)
    except ValueError as error:
        raise _unavailable(check, error) from error


def _ends(collateral: TdCollateral) -> float:
    """The earliest nextUpdate of CRLs and statements, in seconds since 1970."""
    statements = [collateral.tcb_info, collateral.qe_identity]
    if isinstance(collateral.early, TdStatements):
        statements += [collateral.early.tcb_info, collateral.early.qe_identity]
    return min(
        *(_crl_ends(one) for one in (collateral.pck_crl, collateral.root_ca_crl)),
        *map(_statement_ends, statements),
    ).timestamp()


def _crl_ends(data: bytes) -> datetime:
    try:
        end = x509.load_der_x509_crl(data).next_update_utc
    except Exception as error:  # the parser has no closed set of errors for hostile input
        raise _unavailable("pcs-crl", error) from error
    if end is None:
        raise _unavailable("pcs-crl")
    return end


def _statement_ends(text: str) -> datetime:
    statement = parse_object(text.encode(), limit=MAX_REPLY_BYTES, fault=Fault.EVIDENCE_UNAVAILABLE, check="pcs-tcb")
    end = text_member(statement, "nextUpdate", fault=Fault.EVIDENCE_UNAVAILABLE, check="pcs-tcb")
    try:
        return datetime.strptime(end, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    except ValueError as error:
        raise _unavailable("pcs-tcb", error) from error
