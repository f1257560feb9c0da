"""The claims of an AzureGuest token, as the service wrote them for a confidential VM in January 2025 and later.

Member names and kinds follow recorded tokens; members are in alphabetical order at every level.
"""

import base64
import os
from typing import Any, Final

from cji_simulator.encoding import b64, rsa_jwk
from cji_simulator.guest import GuestEvidence
from cji_simulator.snp import Report
from cji_simulator.tdx import TdReport

__all__ = ["LIFETIME", "guest_claims"]

LIFETIME: Final = 28800  # seconds; the service's, not configurable


def _text(value: str) -> str:
    return base64.b64decode(value).decode(errors="replace")


def _snp(report: Report, runtime: dict[str, Any]) -> dict[str, Any]:
    tcb = report.tcb
    own = {
        "authorkeydigest": report.author_key_digest.hex(),
        "bootloader-svn": tcb.bootloader,
        "chip-family": "Genoa",
        "chipid": report.chip_id.hex(),
        "ciphertext-hiding-dram-enabled": False,
        "cxl-allowed": False,
        "familyId": report.family_id.hex(),
        "guestsvn": report.guest_svn,
        "hostdata": report.host_data.hex(),
        "idkeydigest": report.id_key_digest.hex(),
        "imageId": report.image_id.hex(),
        "is-debuggable": report.debuggable,
        "launchmeasurement": report.measurement.hex(),
        "mem-aes256-xts-required": False,
        "microcode-svn": tcb.microcode,
        "migration-allowed": report.migratable,
        "page-swap-disabled": False,
        "rapl-disabled": False,
        "reportdata": report.report_data.hex(),
        "reportid": report.report_id.hex(),
        "singlesocket": False,
        "smt-allowed": report.smt,
        "snpfw-svn": tcb.snp,
        "tee-svn": tcb.tee,
        "vmpl": report.vmpl,
    }
    return {
        "x-ms-attestation-type": "sevsnpvm",
        "x-ms-compliance-status": "azure-compliant-cvm",
        "x-ms-runtime": runtime,
        **{f"x-ms-sevsnpvm-{name}": value for name, value in own.items()},
    }


def _tdx(report: TdReport, status: str, runtime: dict[str, Any]) -> dict[str, Any]:
    """Return the members of the EAT profile for trust domains, which have no prefix of Microsoft's."""
    bits = {
        "debug": 0,
        "hgs_plus_prof": 4,
        "perf_prof": 5,
        "pmt_prof": 6,
        "icssd": 16,
        "septve_disable": 28,
        "migratable": 29,
        "protection_keys": 30,
        "key_locker": 31,
        "perfmon": 63,
    }
    xfam = int.from_bytes(report.xfam, "little")
    digests = [report.configuration[at : at + 48] for at in (0, 48, 96)]
    registers = {f"rtmr{n}": report.registers[48 * n : 48 * n + 48].hex() for n in range(4)}
    own = {
        **{
            name: digest.hex() for name, digest in zip(("mrconfigid", "mrowner", "mrownerconfig"), digests, strict=True)
        },
        "mrseam": report.seam.hex(),
        "mrsignerseam": report.seam_signer.hex(),
        "mrtd": report.mrtd.hex(),
        "report_data": report.report_data.hex(),
        **registers,
        "seam_attributes": report.seam_attributes.hex(),
        "seamsvn": int.from_bytes(report.tcb_svn[:2], "little"),
        "td_attributes": report.attributes.to_bytes(8, "little").hex(),
        **{f"td_attributes_{name}": bool(report.attributes >> bit & 1) for name, bit in bits.items()},
        "tee_tcb_svn": report.tcb_svn.hex(),
        "xfam": report.xfam.hex(),
        "xfam_cet_s": bool(xfam >> 12 & 1),
        "xfam_cet_u": bool(xfam >> 11 & 1),
    }
    return {
        "attester_tcb_status": status,
        "dbgstat": "enabled" if report.debuggable else "disabled",
        "eat_profile": "https://aka.ms/maa-eat-profile-tdxvm",
        "intuse": "generic",
        "x-ms-attestation-type": "tdxvm",
        "x-ms-compliance-status": "azure-compliant-cvm",
        "x-ms-runtime": runtime,
        **{f"tdx_{name}": value for name, value in own.items()},
    }


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _sorted(value[key]) for key in sorted(value)}
    return [_sorted(item) for item in value] if isinstance(value, list) else value


def guest_claims(evidence: GuestEvidence, *, issuer: str, policy_hash: str, now: int) -> dict[str, Any]:
    """Return the claims of a token that is issued `now` (Unix seconds)."""
    request, key = evidence.request, rsa_jwk(evidence.key)
    own = {
        "attestation-protocol-ver": "2.0",
        "attested-pcr-values": {f"pcr{index}": b64(value) for index, value in evidence.pcrs.items()},
        "attested-pcrs": sorted(evidence.pcrs),
        "bootdebug-enabled": False,
        "dbvalidated": True,
        "dbxvalidated": True,
        "debuggersdisabled": True,
        "default-securebootkeysvalidated": True,
        "elam-enabled": False,
        "flightsigning-enabled": False,
        "hvci-policy": 0,
        "hypervisordebug-enabled": False,
        "is-windows": False,
        "kerneldebug-enabled": False,
        "osbuild": _text(request.os_build),
        "osdistro": _text(request.os_distro),
        "ostype": _text(request.os_type),
        "osversion-major": int(request.os_version_major),
        "osversion-minor": int(request.os_version_minor),
        "signingdisabled": True,
        "testsigning-enabled": False,
        "vmid": evidence.runtime.get("vm-configuration", {}).get("vmUniqueId", ""),
    }
    claims: dict[str, Any] = {
        "exp": now + LIFETIME,
        "iat": now,
        "iss": issuer,
        "jti": os.urandom(32).hex(),
        "nbf": now,
        "secureboot": True,
        "x-ms-attestation-type": "azurevm",
        **{f"x-ms-azurevm-{name}": value for name, value in own.items()},
        "x-ms-policy-hash": policy_hash,
        "x-ms-runtime": {
            "client-payload": request.client_payload,
            "keys": [{**key, "key_ops": ["encrypt"], "kid": "TpmEphemeralEncryptionKey"}],
        },
        "x-ms-ver": "1.0",
    }
    if isinstance(evidence.report, Report):
        claims["x-ms-isolation-tee"] = _snp(evidence.report, evidence.runtime)
    elif evidence.report is not None:
        claims["x-ms-isolation-tee"] = _tdx(evidence.report, evidence.tcb_status, evidence.runtime)
    ordered: dict[str, Any] = _sorted(claims)
    return ordered
