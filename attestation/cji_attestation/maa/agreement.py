"""The claims a token must have about the hardware, given the report that we appraised ourselves.

Every claim that repeats a field of the report is here, by its place in the report: SNP claims from ATTESTATION_REPORT
(AMD 56860), TDX claims from the TDREPORT (Intel TDX Module ABI). Byte strings are lower-case hexadecimal in the order
of the report. Names and types: learn.microsoft.com, "Azure Attestation claim sets" and "EAT profile for TDX".

Tokens have had the claims of `facts` since 2022 (SNP) and 2023 (TDX): one that is missing failed. Those of `recent`
came with 2026: absent is fine, wrong is not. Two of that year are in neither, because nothing states which register
they repeat, the guest policy or the platform's: ciphertext-hiding-dram-enabled and rapl-disabled.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias, cast

from cji_attestation.appraisal import Verdict
from cji_attestation.evidence import SnpReport, TdReport

if TYPE_CHECKING:
    from cji_attestation.evidence import Tcb

Fact: TypeAlias = str | int | bool

_SNP_BYTES: Final = {
    "familyId": slice(0x10, 0x20),
    "imageId": slice(0x20, 0x30),
    "reportdata": slice(0x50, 0x90),
    "launchmeasurement": slice(0x90, 0xC0),
    "hostdata": slice(0xC0, 0xE0),
    "idkeydigest": slice(0xE0, 0x110),
    "authorkeydigest": slice(0x110, 0x140),
    "reportid": slice(0x140, 0x160),
}
_SNP_POLICY: Final = {"smt-allowed": 16, "migration-allowed": 18, "is-debuggable": 19}
_SNP_RECENT_POLICY: Final = {
    "singlesocket": 20,
    "cxl-allowed": 21,
    "mem-aes256-xts-required": 22,
    "page-swap-disabled": 25,
}
_TDX_BYTES: Final = {
    "report_data": slice(128, 192),
    "tee_tcb_svn": slice(264, 280),
    "mrseam": slice(280, 328),
    "mrsignerseam": slice(328, 376),
    "seam_attributes": slice(376, 384),
    "td_attributes": slice(512, 520),
    "xfam": slice(520, 528),
    "mrtd": slice(528, 576),
    "mrconfigid": slice(576, 624),
    "mrowner": slice(624, 672),
    "mrownerconfig": slice(672, 720),
    "rtmr0": slice(720, 768),
    "rtmr1": slice(768, 816),
    "rtmr2": slice(816, 864),
    "rtmr3": slice(864, 912),
}
_TD_ATTRIBUTES: Final = {"debug": 0, "septve_disable": 28, "protection_keys": 30, "key_locker": 31, "perfmon": 63}
_TD_RECENT_ATTRIBUTES: Final = {"hgs_plus_prof": 4, "perf_prof": 5, "pmt_prof": 6, "icssd": 16, "migratable": 29}
_XFAM_RECENT: Final = {"cet_u": 11, "cet_s": 12}


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """Claims with their values, compared in value and type. `recent` ones may be absent."""

    facts: Mapping[str, Fact]
    recent: Mapping[str, Fact]


def expected_claims(verdict: Verdict) -> Expected:
    """The claims that Azure Attestation must make about the report in `verdict`."""
    if isinstance(verdict.hardware, TdReport):
        return _tdx(verdict.hardware)
    return _snp(verdict.hardware, verdict)


def _snp(report: SnpReport, verdict: Verdict) -> Expected:
    tcb = cast("Tcb", verdict.tcb)  # the reported one, which is the one that the VCEK was made for
    facts: dict[str, Fact] = {
        "bootloader-svn": tcb.bootloader,
        "tee-svn": tcb.tee,
        "snpfw-svn": tcb.snp,
        "microcode-svn": tcb.microcode,
        "guestsvn": report.guest_svn,
        "vmpl": report.vmpl,
        **{name: report.signed[at].hex() for name, at in _SNP_BYTES.items()},
        **_bits(report.policy, _SNP_POLICY),
    }
    recent: dict[str, Fact] = {
        "chip-family": verdict.product,
        "chipid": report.chip_id.hex(),
        **_bits(report.policy, _SNP_RECENT_POLICY),
    }
    return Expected(facts=_named("x-ms-sevsnpvm-", facts), recent=_named("x-ms-sevsnpvm-", recent))


def _tdx(report: TdReport) -> Expected:
    facts: dict[str, Fact] = {
        "seamsvn": int.from_bytes(report.tcb_svn[:2], "little"),
        **{name: report.raw[at].hex() for name, at in _TDX_BYTES.items()},
        **_named("td_attributes_", _bits(report.attributes, _TD_ATTRIBUTES)),
    }
    xfam = int.from_bytes(report.raw[_TDX_BYTES["xfam"]], "little")
    recent = {
        **_named("td_attributes_", _bits(report.attributes, _TD_RECENT_ATTRIBUTES)),
        **_named("xfam_", _bits(xfam, _XFAM_RECENT)),
    }
    return Expected(facts=_named("tdx_", facts), recent=_named("tdx_", recent))


def _bits(register: int, names: Mapping[str, int]) -> dict[str, Fact]:
    return {name: bool(register >> bit & 1) for name, bit in names.items()}


def _named(prefix: str, claims: Mapping[str, Fact]) -> dict[str, Fact]:
    return {prefix + name: value for name, value in claims.items()}
