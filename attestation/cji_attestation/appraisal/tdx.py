"""Intel TDX: TDREPORT → quote → quoting enclave → PCK → Intel root, and the TCB status that Intel gives it.

Signatures, certificate chains, CRLs, QE identity and TCB levels are checked by `dcap_qvl` (Intel's quote verification
algorithm, "Intel SGX DCAP ECDSA Quote Library API"); which root, which status and which attributes are decided here.
Nothing is fetched: the collateral is part of the evidence.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import dcap_qvl

from cji_attestation.appraisal.hardware import Hardware
from cji_attestation.appraisal.intel import authentic_root, evaluation_of
from cji_attestation.appraisal.levels import levels_short
from cji_attestation.checks import Check
from cji_attestation.errors import AttestationError, Fault, Record, invalid
from cji_attestation.evidence import (
    Evidence,
    TdCollateral,
    TdQuote,
    TdReport,
    TdStatements,
    TdxTcb,
    parse_td_quote,
    parse_td_report,
)
from cji_attestation.evidence.pck import PCK_FLAGS, SGX_EXTENSION

# TD attributes that do not weaken the domain: LASS, SEPT_VE_DISABLE, PKS, KL (TDX Module ABI, ATTRIBUTES). Refused are
# debugging (0), profiling (4 to 6), migration (29), performance monitoring (63) and every bit without a meaning yet.
ALLOWED_ATTRIBUTES: Final = 1 << 27 | 1 << 28 | 1 << 30 | 1 << 31
_REVOKED: Final = "TCB status is invalid: Revoked"
_REASONS: Final = {
    "No matching TCB level": "a TCB below every level that Intel lists for this FMSPC",
    _REVOKED: "TCB status Revoked",
}
"""Refusals of Intel's algorithm that need other words."""
_MOST_REASON: Final = 160  # characters


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlyView:
    """The same processor by Intel's statements of the channel "early". `short` names the SVNs below the newest level.

    `status` is empty for a processor below every level that they list.
    """

    status: str
    advisories: tuple[str, ...]
    evaluation: int
    short: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthenticDomain(Hardware):
    """A trust domain whose quote Intel's certificates vouch for, and Intel's view of its processor.

    `product` is the FMSPC, 12 hexadecimal digits in upper case; `tcb_status` the worst of platform, TDX module and
    quoting enclave.
    """

    tcb: TdxTcb
    report: TdReport
    evaluation: int  # the lower tcbEvaluationDataNumber of TCB info and QE identity
    platform: Mapping[str, bool]  # flags of the PCK certificate; those of a processor's own CA state none
    early: EarlyView | None = None  # None where the evidence has no statements of the channel "early"


def authenticate_domain(
    evidence: Evidence, raw: bytes, *, roots: tuple[str, ...], now: datetime, record: Record
) -> AuthenticDomain:
    """The TDREPORT in `raw`, verified by the quote and the collateral of the evidence under a pinned root."""
    collateral = record.take(_read_collateral(evidence))
    return authenticate_quote(evidence.td_quote, collateral, raw, roots=roots, now=now, record=record)


def authenticate_quote(
    data: bytes, collateral: TdCollateral, raw: bytes, *, roots: tuple[str, ...], now: datetime, record: Record
) -> AuthenticDomain:
    """The TDREPORT in `raw`, verified by a quote and its collateral.

    E26 and E27 come before the signatures, because Intel's algorithm refuses such a quote without a reason of its own.
    """
    report = record.take(read_report(raw))
    quote = record.take(read_quote(report, data))
    record.add(check_attributes(report))
    record.add(check_module(report))
    root = record.take(authentic_root(collateral, quote.pck_chain, roots=roots, now=now))
    return record.take(verify_quote(report, data, collateral, root=root, now=now))


def _read_collateral(evidence: Evidence) -> tuple[TdCollateral, Check]:
    if not isinstance(evidence.collateral, TdCollateral) or not evidence.td_quote:
        raise invalid("E13")
    return evidence.collateral, Check("E13", "TD quote with collateral")


def read_report(raw: bytes) -> tuple[TdReport, Check]:
    """E24."""
    try:
        return parse_td_report(raw), Check("E24", "TDREPORT whole; its MAC is for its own processor")
    except AttestationError as error:
        raise invalid("E24") from error


def read_quote(report: TdReport, data: bytes) -> tuple[TdQuote, Check]:
    """E25."""
    try:
        quote = parse_td_quote(data)
    except AttestationError as error:
        raise invalid("E25") from error
    if quote.body != report.body[: len(quote.body)] or quote.qe_cpu_svn != report.cpu_svn:
        raise invalid("E25", found="a quote of another report or processor")
    return quote, Check("E25", f"quote version {quote.version} repeats the TDREPORT")


def check_attributes(report: TdReport) -> Check:
    """E26."""
    if weak := report.attributes & ~ALLOWED_ATTRIBUTES:
        raise AttestationError(Fault.POLICY_MISMATCH, check="E26", found=f"attribute bits {weak:#x}")
    return Check("E26", "no debug, no profiling, no migration")


def check_module(report: TdReport) -> Check:
    """E27: Intel's own module has the signer zero; another one has its signer there."""
    if any(report.seam_signer) or any(report.seam_attributes):
        raise AttestationError(Fault.POLICY_MISMATCH, check="E27", found=f"signed by {report.seam_signer.hex()}")
    return Check("E27", "Intel's TDX module")


def verify_quote(
    report: TdReport, quote: bytes, collateral: TdCollateral, *, root: bytes, now: datetime
) -> tuple[AuthenticDomain, Check]:
    """E28. `root` is what `authentic_root` returned for this collateral and this quote's own chain; see there why."""
    try:
        verified = _verified(quote, collateral, collateral, root=root, now=now)
        parsed = dcap_qvl.parse_quote(quote)
        pck, fmspc = parsed.pck_extension(), str(parsed.fmspc()).upper()
        svn = parse_td_quote(quote).body
        domain = AuthenticDomain(
            product=fmspc,
            measurement=report.mrtd,
            tcb=TdxTcb(tdx_module=svn[0], tdx_module_version=svn[1], late_microcode=svn[2], pce=int(pck.pce_svn)),
            tcb_status=str(verified.status),
            advisories=tuple(str(one) for one in verified.advisory_ids),
            policy=report.attributes,
            vmpl=None,
            chip_id=bytes(verified.ppid),
            report=report,
            evaluation=min(evaluation_of(one) for one in (collateral.tcb_info, collateral.qe_identity)),
            platform=_platform(pck),
            early=_early(quote, collateral, root=root, now=now),
        )
    except AttestationError:
        raise
    except Exception as error:  # the library has no closed set of errors
        raise invalid("E28", found=_reason(error)) from error
    return domain, Check("E28", f"quote of FMSPC {fmspc} signed up to the root")


def _platform(pck: Any) -> dict[str, bool]:
    """The flags that a PCK certificate states of its platform."""
    found = {name: pck.get_value(f"{SGX_EXTENSION.dotted_string}.7.{member}") for name, member in PCK_FLAGS.items()}
    return {name: value != b"\0" for name, value in found.items() if value is not None}


def _early(quote: bytes, collateral: TdCollateral, *, root: bytes, now: datetime) -> EarlyView | None:
    """The view of the channel "early"; any refusal but that no level matches is one of the evidence."""
    early = collateral.early
    if not isinstance(early, TdStatements):
        return None
    evaluation = min(evaluation_of(one) for one in (early.tcb_info, early.qe_identity))
    short = levels_short(quote, early)
    try:
        verified = _verified(quote, collateral, early, root=root, now=now)
    except Exception as error:  # the library has no closed set of errors
        if not any(pattern in str(error) for pattern in _REASONS):
            raise
        status = "Revoked" if _REVOKED in str(error) else ""
        return EarlyView(status=status, advisories=(), evaluation=evaluation, short=short)
    ids = tuple(str(one) for one in verified.advisory_ids)
    return EarlyView(status=str(verified.status), advisories=ids, evaluation=evaluation, short=short)


def _reason(error: Exception) -> str:
    """The finding of Intel's algorithm, on one line."""
    text = " ".join(str(error).split())
    said = next((words for pattern, words in _REASONS.items() if pattern in text), text)
    return "".join(one if one.isprintable() else "." for one in said[:_MOST_REASON])


def _verified(
    quote: bytes, collateral: TdCollateral, statements: TdCollateral | TdStatements, *, root: bytes, now: datetime
) -> Any:
    """Intel's algorithm, with the CRLs of the collateral and the statements of one update channel."""
    published = dcap_qvl.QuoteCollateralV3(
        collateral.pck_crl_issuer_chain,
        collateral.root_ca_crl,
        collateral.pck_crl,
        statements.tcb_info_issuer_chain,
        statements.tcb_info,
        statements.tcb_info_signature,
        statements.qe_identity_issuer_chain,
        statements.qe_identity,
        statements.qe_identity_signature,
    )
    return dcap_qvl.verify_with_root_ca(quote, published, root, int(now.timestamp()))
