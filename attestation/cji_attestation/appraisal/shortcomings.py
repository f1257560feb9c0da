"""Parts of imported evidence that are not in force at a time, named before a verifier refuses them.

A note does not refuse: evidence from last year is appraised at last year's time (`cji evidence verify --at`).
"""

from collections.abc import Iterator
from datetime import datetime

from cryptography import x509

from cji_attestation.appraisal.intel import not_in_force, statement_times
from cji_attestation.errors import AttestationError, Fault
from cji_attestation.evidence import Evidence, TdCollateral, parse_td_quote
from cji_attestation.strict import load_pem_chain
from cji_core.certs import common_name


def shortcomings(evidence: Evidence, now: datetime) -> tuple[str, ...]:
    """A sentence for each part that is expired, not yet issued, revoked or missing at `now`. Nothing is verified."""
    return tuple(_shortcomings(evidence, now))


def _shortcomings(evidence: Evidence, now: datetime) -> Iterator[str]:
    chain = evidence.certs or (parse_td_quote(evidence.td_quote).pck_chain if evidence.td_quote else b"")
    try:
        certificates = load_pem_chain(chain, fault=Fault.EVIDENCE_INVALID, check="import")
    except AttestationError:
        yield "no chain of the processor's certificates"
        certificates = ()
    for one in certificates:
        if wrong := not_in_force(common_name(one), one.not_valid_before_utc, one.not_valid_after_utc, now):
            yield wrong
    if not isinstance(evidence.collateral, TdCollateral):
        if evidence.tee == "tdx":
            yield "no collateral: Intel's view of the processor is missing, and E13 refuses that"
        return
    collateral = evidence.collateral
    for name, text in (("TCB info", collateral.tcb_info), ("QE identity", collateral.qe_identity)):
        try:
            wrong = not_in_force(name, *statement_times(name, text), now)
        except AttestationError:
            wrong = f"{name} that cannot be read"
        if wrong:
            yield wrong
    for name, data in (("PCK CRL", collateral.pck_crl), ("root CRL", collateral.root_ca_crl)):
        yield from _list_shortcomings(name, data, certificates, now)


def _list_shortcomings(
    name: str, data: bytes, certificates: tuple[x509.Certificate, ...], now: datetime
) -> Iterator[str]:
    try:
        crl = x509.load_der_x509_crl(data)
        begins, ends = crl.last_update_utc, crl.next_update_utc
        listed = {one.serial_number for one in crl}
    except Exception:  # noqa: BLE001 - the parser has no closed set of errors for hostile input
        yield f"a {name} that is none"
        return
    if ends is None:
        yield f"{name} without an end"
    elif wrong := not_in_force(name, begins, ends, now):
        yield wrong
    for one in certificates:
        if one.serial_number in listed:
            yield f"revoked by the {name}: {common_name(one)}, serial {one.serial_number:x}"
