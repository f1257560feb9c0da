"""Attests this machine and asks the vault for a key of another image, before the worker starts; prints the outcome."""

import json
import sys
from pathlib import Path

import msgspec

from cji_attestation import AttestationError, Trust
from cji_attestation.appraisal import ReferenceValues
from cji_attestation.release import Attester, KeySpec
from cji_core.format.configuration.worker import load

DISK = Path(__file__).parent


def main() -> None:
    """One JSON object: `released`, or the fault and its check."""
    facts = json.loads((DISK / "facts.json").read_text())
    trust = msgspec.json.decode((DISK / "trust.json").read_bytes(), type=Trust)
    section = load(Path("/run/cji/config/worker.toml")).attestation
    attester = Attester(
        trust=trust,
        maa_url=section.maa_url,
        reference=msgspec.convert(section.values(), ReferenceValues, str_keys=True),
        ak_issuers=Path("/run/cji/config/ak-issuers.pem").read_bytes(),
    )
    found: dict[str, object] = {"released": False}
    try:
        attestation = attester.attest(receipt_key=bytes(32))
        found["attested"] = True
        attester.release_into(attestation, KeySpec(**facts["other_key"]), memoryview(bytearray(4096)))
        found["released"] = True
    except AttestationError as error:
        found |= {"fault": str(error.fault), "check": error.check, "found": [one.found for one in error.failures]}
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
