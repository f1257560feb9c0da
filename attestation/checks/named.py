"""Remedies for conditions that have a name instead of a number: configuration, devices and services."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

__all__ = ["REMEDIES"]

REMEDIES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "ak-cert-pending": "Wait: Azure can take minutes to write the AK certificate of a new VM. Then try again.",
        "pcr-moving": "Try again once the machine has finished booting: something is still extending PCRs 0 to 7.",
        "pcr-changed": "Attest again: PCRs 0 to 7 changed since the quote. Investigate what extended them.",
        "ephemeral-key": "Attest again: the vTPM was reset, and its ephemeral keys are gone.",
        "tpm-open": "Check that /dev/tpmrm0 exists and that the worker's user is in group tss.",
        "evidence-json": "Supply the evidence bundle byte for byte as the worker returned it.",
        "nonce-length": "Use a nonce and a receipt key thumbprint of 32 bytes each.",
        "age": "Attest again: the token is older than `token_max_age`.",
        "used": "Attest again: one attestation opens each key once.",
        "kek-id": "Write https://{vault or HSM}/keys/{name}/{version}: include the version, and leave out the port "
        "that some tools print for a Managed HSM.",
        "maa-url": "Set `maa_url` to an attestation provider of this cloud: https, no port, no path.",
        "region": "Set `worker.region` to the region that the machine runs in. Run only in regions of this cloud in "
        "the United States.",
        "reference-accepted": "Give each entry under `accepted` an id, a reason and a day. If `products` includes "
        "Milan, add an entry for arXiv:2605.12990.",
        "reference-advisories": "Correct the list of advisories: at least one entry, at most a year from review to "
        "expiry, nothing listed twice, every level from 1 to 255.",
        "reference-amd_crls": "Supply AMD's CRL for every entry of `products`, or for none.",
    }
)
