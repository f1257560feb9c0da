"""Claims in tokens of /attest/AzureGuest: their level, their type, and which of them a policy must pin.

Source: learn.microsoft.com, "Azure Attestation claim sets", and tokens of real machines.
"""

from collections.abc import Mapping
from typing import Final

from cji_attestation.release.policy.grammar import Scalar

TEE: Final = "x-ms-isolation-tee."
HARDWARE: Final = TEE + "x-ms-attestation-type"

# claim -> (value, rule) that every conjunction must pin
REQUIRED: Final[Mapping[str, tuple[Scalar, str]]] = {
    "x-ms-attestation-type": ("azurevm", "RP11"),
    "secureboot": (True, "RP15"),
    "x-ms-azurevm-bootdebug-enabled": (False, "RP16"),
    "x-ms-azurevm-kerneldebug-enabled": (False, "RP16"),
    "x-ms-azurevm-hypervisordebug-enabled": (False, "RP16"),
    "x-ms-azurevm-testsigning-enabled": (False, "RP16"),
    TEE + "x-ms-compliance-status": ("azure-compliant-cvm", "RP11"),
}
# value of HARDWARE -> what it must pin besides
PER_HARDWARE: Final[Mapping[str, Mapping[str, tuple[Scalar, str]]]] = {
    "sevsnpvm": {
        TEE + "x-ms-sevsnpvm-is-debuggable": (False, "RP12"),
        TEE + "x-ms-sevsnpvm-migration-allowed": (False, "RP13"),
        TEE + "x-ms-sevsnpvm-vmpl": (0, "RP14"),
    },
    "tdxvm": {
        TEE + "tdx_td_attributes_debug": (False, "RP12"),
        TEE + "tdx_td_attributes_migratable": (False, "RP13"),
    },
}
# beginnings of claims that tie the key to an image, a machine or the provider's own rules
WORKLOAD: Final = (
    "x-ms-azurevm-attested-pcr-values.",
    "x-ms-azurevm-vmid",
    TEE + "x-ms-runtime.vm-configuration.vmUniqueId",
    "x-ms-policy.",
)
# beginnings of claims whose names and types are open
OPEN: Final = ("x-ms-policy.", "x-ms-runtime.", TEE + "x-ms-runtime.", "x-ms-azurevm-attested-pcr-values.")


def _typed(prefix: str, kind: type[Scalar], names: str) -> dict[str, type[Scalar]]:
    return {prefix + name: kind for name in names.split()}


TOP_CLAIMS: Final[Mapping[str, type[Scalar]]] = {
    **_typed("", str, "iss jti x-ms-ver x-ms-attestation-type x-ms-policy-hash"),
    **_typed("", int, "exp iat nbf"),
    **_typed("", bool, "secureboot"),
    **_typed(
        "x-ms-azurevm-",
        bool,
        "bootdebug-enabled kerneldebug-enabled hypervisordebug-enabled debuggersdisabled testsigning-enabled "
        "flightsigning-enabled signingdisabled dbvalidated dbxvalidated default-securebootkeysvalidated elam-enabled "
        "is-windows",
    ),
    **_typed("x-ms-azurevm-", int, "hvci-policy osversion-major osversion-minor"),
    **_typed("x-ms-azurevm-", str, "attestation-protocol-ver vmid ostype osdistro osbuild os-provisioning"),
}
TEE_CLAIMS: Final[Mapping[str, type[Scalar]]] = {  # without TEE in front
    **_typed("", str, "x-ms-attestation-type x-ms-compliance-status"),
    **_typed(
        "x-ms-sevsnpvm-",
        bool,
        "is-debuggable migration-allowed smt-allowed ciphertext-hiding-dram-enabled cxl-allowed "
        "mem-aes256-xts-required page-swap-disabled rapl-disabled singlesocket",
    ),
    **_typed("x-ms-sevsnpvm-", int, "bootloader-svn guestsvn microcode-svn snpfw-svn tee-svn vmpl"),
    **_typed(
        "x-ms-sevsnpvm-",
        str,
        "authorkeydigest familyId hostdata idkeydigest imageId launchmeasurement reportdata reportid chip-family "
        "chipid",
    ),
    **_typed(
        "tdx_",
        str,
        "mrconfigid mrowner mrownerconfig mrseam mrsignerseam mrtd report_data rtmr0 rtmr1 rtmr2 rtmr3 "
        "seam_attributes td_attributes tee_tcb_svn xfam",
    ),
    **_typed("tdx_", int, "seamsvn"),
    **_typed("tdx_", bool, "xfam_cet_s xfam_cet_u"),
    **_typed(
        "tdx_td_attributes_",
        bool,
        "debug septve_disable perfmon key_locker protection_keys migratable icssd perf_prof pmt_prof hgs_plus_prof",
    ),
    **_typed("", str, "attester_tcb_status dbgstat intuse eat_profile"),
}
