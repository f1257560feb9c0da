"""The objects that this package creates in a vTPM: the ephemeral key, and the index of a report's user data.

The ephemeral key is a primary of the NULL hierarchy: its seed dies with the boot. Its template holds a salt, so each
attestation has its own key, and its policy holds PCRs 0-7, so it decrypts only while they keep the quoted values.
"""

from typing import Any, Final, Literal, TypeAlias

from tpm2_pytss.constants import TPM2_ALG, TPMA_NV
from tpm2_pytss.types import (
    TPM2B_DIGEST,
    TPM2B_NV_PUBLIC,
    TPM2B_PUBLIC,
    TPM2B_PUBLIC_KEY_RSA,
    TPMS_NV_PUBLIC,
    TPMS_RSA_PARMS,
    TPMS_SCHEME_HASH,
    TPMT_PUBLIC,
    TPMT_RSA_DECRYPT,
    TPMT_RSA_SCHEME,
    TPMT_SYM_DEF_OBJECT,
    TPMU_ASYM_SCHEME,
    TPMU_PUBLIC_ID,
    TPMU_PUBLIC_PARMS,
)

from cji_attestation.evidence.tpm_structures import policy_pcr_digest

USER_DATA_INDEX: Final = 0x01400002
USER_DATA_BYTES: Final = 64
EPHEMERAL_ATTRIBUTES: Final = 0x20432  # decrypt, noDA, sensitiveDataOrigin, fixedParent, fixedTPM; policy only
_USER_DATA_ATTRIBUTES: Final = TPMA_NV.OWNERREAD | TPMA_NV.OWNERWRITE | TPMA_NV.AUTHREAD | TPMA_NV.AUTHWRITE
Padding: TypeAlias = Literal["rsaes", "oaep-sha256"]


def user_data_index() -> Any:
    """The public area of the NV index that the next hardware report takes its user data from."""
    return TPM2B_NV_PUBLIC(
        nvPublic=TPMS_NV_PUBLIC(
            nvIndex=USER_DATA_INDEX,
            nameAlg=TPM2_ALG.SHA256,
            attributes=_USER_DATA_ATTRIBUTES,
            authPolicy=b"",
            dataSize=USER_DATA_BYTES,
        )
    )


def ephemeral_template(*, salt: bytes, pcrs: tuple[bytes, ...]) -> Any:
    """The template of the ephemeral key for one salt and these PCR values."""
    return TPM2B_PUBLIC(
        publicArea=TPMT_PUBLIC(
            type=TPM2_ALG.RSA,
            nameAlg=TPM2_ALG.SHA256,
            objectAttributes=EPHEMERAL_ATTRIBUTES,
            authPolicy=TPM2B_DIGEST(policy_pcr_digest(pcrs)),
            parameters=TPMU_PUBLIC_PARMS(
                rsaDetail=TPMS_RSA_PARMS(
                    symmetric=TPMT_SYM_DEF_OBJECT(algorithm=TPM2_ALG.NULL),
                    scheme=TPMT_RSA_SCHEME(scheme=TPM2_ALG.NULL),
                    keyBits=2048,
                    exponent=0,
                )
            ),
            unique=TPMU_PUBLIC_ID(rsa=TPM2B_PUBLIC_KEY_RSA(salt)),
        )
    )


def decrypt_scheme(padding: Padding) -> Any:
    """RSAES for Azure Attestation's reply, OAEP with SHA-256 for Key Vault's."""
    if padding == "rsaes":
        return TPMT_RSA_DECRYPT(scheme=TPM2_ALG.RSAES)
    return TPMT_RSA_DECRYPT(
        scheme=TPM2_ALG.OAEP, details=TPMU_ASYM_SCHEME(anySig=TPMS_SCHEME_HASH(hashAlg=TPM2_ALG.SHA256))
    )
