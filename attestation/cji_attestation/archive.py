"""evidence.json completed for years to come: AMD's revocation list and a timestamp, fetched when the file is made.

Certificates, lists and collateral are in force today; a verifier in ten years has neither Intel's nor AMD's service of
today. What is fetched is verified before it is kept: the list under AMD's pinned root, the timestamp under one of the
`timestamp_roots`. If a service does not answer, the evidence is kept without, and the reason is returned: a job that is
done is not lost for it.
"""

import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final, cast

import msgspec

from cji_attestation import AttestationError, Fault, Trust
from cji_attestation.appraisal import Product, ReferenceValues, check_timestamp, timestamp_request
from cji_attestation.appraisal.crl import MAX_AGE_DAYS, read_published
from cji_attestation.appraisal.timestamp import MAX_TIMESTAMP_BYTES, TimestampRoot
from cji_attestation.attested import AttestedWorker
from cji_attestation.evidence.kds import fetch_crl
from cji_attestation.evidence.service import request_until
from cji_attestation.evidence_file import EvidenceFile
from cji_attestation.trust import Endpoint, endpoint

SECONDS: Final = 5.0
"""For each service; nothing is asked for again."""
_CHECK: Final = "timestamp-authority"


def authority_endpoint(url: str) -> Endpoint:
    """The address of a timestamp authority, http or https; CONFIG_INVALID "timestamp-authority"."""
    return endpoint(url, (url,), resource="", check=_CHECK)


def completed(
    attested: AttestedWorker,
    *,
    trust: Trust,
    reference: ReferenceValues,
    authority: str | None,
    amd_crl: bool = True,
) -> tuple[AttestedWorker, tuple[str, ...]]:
    """The same with what could be had, and a sentence for each thing that could not.

    `authority` is the URL of a timestamp authority, None for no timestamp. `amd_crl` fetches AMD's list where the
    reference values had none.
    """
    shown, notes = attested.shown, []
    if amd_crl and attested.verdict.tee == "snp" and not shown.amd_crl:
        try:
            shown = msgspec.structs.replace(shown, amd_crl=_list(attested, trust))
        except (AttestationError, ValueError) as error:
            notes.append(f"evidence.json has no revocation list of AMD's ({_why(error)})")
    if authority is not None:
        try:
            shown = _stamped(shown, authority, trust=trust, reference=reference)
        except AttestationError as error:
            notes.append(f"evidence.json has no timestamp ({_why(error)}): get one with `cji evidence stamp`")
    return replace(attested, shown=shown), tuple(notes)


def _list(attested: AttestedWorker, trust: Trust) -> bytes:
    """AMD's list, if it is in force at every time that the file can prove: from the token's on."""
    product = cast("Product", attested.verdict.product)
    published = fetch_crl(trust, product, seconds=SECONDS)
    found = read_published(published.chain, published.crl, product=product, roots=trust.amd_roots)
    for when in (datetime.fromtimestamp(attested.token.issued, UTC), datetime.now(UTC)):
        if reason := found.not_current(when, max_age_days=MAX_AGE_DAYS):
            raise ValueError(reason)
    return published.crl


def _stamped(shown: EvidenceFile, authority: str, *, trust: Trust, reference: ReferenceValues) -> EvidenceFile:
    response = stamp(shown.stamped, authority, trust=trust, roots=reference.timestamp_roots or ())
    return msgspec.structs.replace(shown, timestamp=response)


def stamp(message: bytes, authority: str, *, trust: Trust, roots: Sequence[TimestampRoot]) -> bytes:
    """An authority's response over a message, verified under one of the roots. Raises AttestationError."""
    target = authority_endpoint(authority)
    response = request_until(
        target,
        path=target.path,
        headers={"Content-Type": "application/timestamp-query"},
        body=timestamp_request(message),
        roots=trust.tls_roots,
        until=time.monotonic(),
        limit=MAX_TIMESTAMP_BYTES,
        check=_CHECK,
    ).body
    if not roots:
        raise AttestationError(Fault.CONFIG_INVALID, check="reference-timestamp_roots")
    check_timestamp(response, message, roots)
    return response


def _why(error: Exception) -> str:
    return f"{error.fault.value} at {error.check}" if isinstance(error, AttestationError) else str(error)
