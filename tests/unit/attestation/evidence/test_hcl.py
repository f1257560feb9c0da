"""Every form of HCL report and runtime claims that Azure's machines of 2022 to 2026 make is read and appraised."""

import hashlib
import json
from typing import Any

import msgspec
import pytest

from cji_attestation import Fault
from cji_attestation.evidence import MAX_EVIDENCE_BYTES, Evidence, parse_hcl, qualifying_data
from cji_attestation.evidence.binding import report_user_data
from cji_simulator import hcl
from cji_simulator.encoding import rsa_jwk
from tests.support.forge import QUALIFYING, VM, machine
from tests.support.refusals import rejected

UPPER, LOWER = str(VM).upper(), str(VM).lower()
USER_DATA = report_user_data(QUALIFYING).hex()
ZERO_GUID = "00000000-0000-0000-0000-000000000000"
BOOT = {"console-enabled": True, "secure-boot": True, "tpm-enabled": True}


AK, EK = ("HCLAkPub", "sign"), ("HCLEkPub", "encrypt")
VARIANTS: dict[str, dict[str, Any]] = {
    "2022": {
        "keys": [("HCLAkPub", "encrypt")],
        "vm-configuration": {
            "console-enabled": True,
            "current-time": 1663100000,
            "secure-boot": True,
            "tpm-enabled": True,
            "vmUniqueId": UPPER,
        },
    },
    "2024": {
        "keys": [AK, EK],
        "vm-configuration": {**BOOT, "vmUniqueId": UPPER},
        "user-data": USER_DATA.upper(),
    },
    "2024-persisted": {
        "keys": [AK, EK],
        "vm-configuration": {
            **BOOT,
            "root-cert-thumbprint": "6nZZnYaJc4KqUZ_yvA-mucFdYNouvlPnITnNMXsHl-0",
            "tpm-persisted": True,
            "vmUniqueId": UPPER,
        },
        "user-data": "00" * 64,
    },
    "2026-openhcl": {
        "keys": [AK, EK],
        "vm-configuration": {
            "root-cert-thumbprint": "",
            **BOOT,
            "interactive-console-enabled": False,
            "tpm-persisted": False,
            "filtered-vpci-devices-allowed": True,
            "vmUniqueId": LOWER,
            "vmgs-provisioner": "x",
            "hardware-sealing-policy": "none",
        },
        "user-data": USER_DATA,
    },
    "test-host": {
        "keys": [AK, EK],
        "vm-configuration": {"console-enabled": False, "tpm-enabled": False, "vmUniqueId": ZERO_GUID},
    },
}


def key(kid: str, *ops: str) -> dict[str, Any]:
    public = machine().ak if kid == "HCLAkPub" else machine().ek
    return {"kid": kid, "key_ops": list(ops), **rsa_jwk(public.public_key())}


def compact(claims: dict[str, Any]) -> bytes:
    """The claims of a variant, with this machine's keys."""
    if "keys" in claims:
        claims = {**claims, "keys": [key(*each) for each in claims["keys"]]}
    return json.dumps(claims, separators=(",", ":")).encode()


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("name", VARIANTS)
def test_claims_of_every_age(name: str, version: int) -> None:
    claims = compact(VARIANTS[name])
    raw = bytearray(machine().evidence(claims=claims).hcl_report)
    raw[4] = version
    evidence = machine().evidence(claims=claims, hcl_report=bytes(raw))
    if "secure-boot" not in VARIANTS[name]["vm-configuration"]:
        with rejected("E43"):
            machine().appraise(evidence)
        return
    verdict = machine().appraise(evidence)
    assert verdict.vm_unique_id == VARIANTS[name]["vm-configuration"]["vmUniqueId"]
    fresh = VARIANTS[name].get("user-data", "").lower() == USER_DATA
    assert dict(verdict.checks)["E02"].endswith("made for this quote" if fresh else "made at boot")


@pytest.mark.parametrize("name", ["sha384", "sha512"])
def test_other_hashes_of_the_claims(name: str) -> None:
    m = machine()
    claims = m.claims()
    report = m.report(claims, report_data=hashlib.new(name, claims).digest().ljust(64, b"\0"))
    raw = bytearray(hcl.report(report, claims)[: 1236 + len(claims)])
    raw[1228] = {"sha384": 2, "sha512": 3}[name]
    m.appraise(m.evidence(hcl_report=bytes(raw)))
    raw[1228] = 1
    with rejected("E02"):
        m.appraise(m.evidence(hcl_report=bytes(raw)))


@pytest.mark.parametrize("size", [2048, 2600, 2900, 8192])
def test_padding_of_the_nv_index_is_not_part_of_the_report(size: int) -> None:
    raw = machine().evidence(claims=compact(VARIANTS["2022"])).hcl_report
    padded = raw.ljust(size, b"\0")
    assert parse_hcl(padded).raw == raw
    with rejected("E01"):  # a bundle holds it without
        machine().appraise(machine().evidence(claims=compact(VARIANTS["2022"]), hcl_report=padded))


@pytest.mark.parametrize("missing", ["keys", "vm-configuration", "vmUniqueId"])
def test_claims_that_are_always_there(missing: str) -> None:
    claims = {name: value for name, value in VARIANTS["2024"].items() if name != missing}
    claims["vm-configuration"] = {
        name: value for name, value in claims.get("vm-configuration", {}).items() if name != missing
    }
    if missing == "vm-configuration":
        del claims["vm-configuration"]
    with rejected("E03" if missing == "keys" else "E01"):
        machine().appraise(machine().evidence(claims=compact(claims)))


def test_a_bundle_of_any_size_is_none() -> None:
    text = machine().evidence().to_json()
    assert Evidence.from_json(text)
    large = msgspec.structs.replace(machine().evidence(), hcl_report=bytes(MAX_EVIDENCE_BYTES)).to_json()
    with rejected("evidence-json"):
        Evidence.from_json(large)


@pytest.mark.parametrize(("receipt_key", "nonce"), [(31, 32), (33, 32), (32, 31), (32, 0)])
def test_what_is_bound_has_its_length(receipt_key: int, nonce: int) -> None:
    with rejected("nonce-length", fault=Fault.CONFIG_INVALID):
        qualifying_data(bytes(receipt_key), bytes(nonce))
