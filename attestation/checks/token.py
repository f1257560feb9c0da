"""The T checks, on a token of Azure Attestation. A claim that is missing is a claim that failed.

Sources: learn.microsoft.com, "Azure Attestation claim sets" and "Azure Key Vault secure key release policy grammar".
"""

from typing import Final

from attestation.checks.entry import CheckInfo, Group

__all__ = ["TOKEN"]

_ENDPOINT: Final = "Stop and investigate which endpoint is responding: this token is not the pinned provider's."
_AGAIN: Final = "Attest again. If it fails again, investigate which endpoint is responding."

TOKEN: Final = Group(
    title="Microsoft's token",
    checks=(
        CheckInfo(
            id="T01",
            requires="three canonical base64url segments, at most 64 KiB; claims without duplicate members, at most 16 "
            "levels deep",
            establishes="There is one reading of the token.",
            remedy=_AGAIN,
        ),
        CheckInfo(
            id="T02",
            requires="the header's alg is RS256, no crit, no b64; keys in the header are ignored",
            establishes="The token cannot choose how it is verified.",
            remedy=_ENDPOINT,
        ),
        CheckInfo(
            id="T03",
            requires="the pinned issuer publishes kid",
            establishes="The key is one that the pinned provider publishes.",
            remedy="Compare `maa_url` with the provider that made the token; `cji provider show` lists its keys.",
        ),
        CheckInfo(
            id="T04",
            requires="that key signed the token",
            establishes="Azure Attestation made the token.",
            remedy=_ENDPOINT,
        ),
        CheckInfo(
            id="T05",
            requires="iss is the pinned issuer, character by character",
            establishes="The pinned provider's policy was applied. Providers share keys, so T04 does not show that.",
            remedy="Set `maa_url` to the provider that makes the tokens: scheme and host, without a slash at the end.",
        ),
        CheckInfo(
            id="T06",
            requires="exp, nbf, iat are integers; iat and nbf ≤ now, exp > now (60 s of skew), exp - iat ≤ 24 h, age ≤ "
            "the limit",
            establishes="The token is current.",
            remedy="Check the machine's clock, then attest again for a token that is valid at the current time.",
        ),
        CheckInfo(
            id="T07",
            requires="x-ms-attestation-type is azurevm; only then is the nested schema below read, at its own level",
            establishes="The claims are read at the level at which the service put them.",
            remedy="Request the token from /attest/AzureGuest.",
        ),
        CheckInfo(
            id="T08",
            requires="x-ms-isolation-tee.x-ms-attestation-type names the hardware that we appraised",
            establishes="Microsoft and we appraised the same kind of hardware.",
            remedy=_AGAIN,
        ),
        CheckInfo(
            id="T09",
            requires="x-ms-isolation-tee.x-ms-compliance-status is azure-compliant-cvm",
            establishes="Microsoft considers the machine a compliant confidential VM.",
            remedy="Deploy a confidential VM size (DCas/ECas or DCes/ECes) from a supported image.",
        ),
        CheckInfo(
            id="T10",
            requires="the hardware is not debuggable or migratable, VMPL is 0; on TDX, the TCB status is the one that "
            "Intel gave us",
            establishes="Microsoft saw no debugging either, and the same TCB status.",
            remedy="Attest again, for Intel's current collateral. If it fails again, redeploy the VM.",
        ),
        CheckInfo(
            id="T11",
            requires="secure boot is on; boot, kernel and hypervisor debugging, test and flight signing are off",
            establishes="Secure boot was on, and nothing reduced it to a formality.",
            remedy="Enable secure boot and turn debugging and test signing off, then reboot the VM.",
        ),
        CheckInfo(
            id="T12",
            requires="x-ms-runtime.client-payload.nonce is base64 of our nonce text",
            establishes="The token answers our request.",
            remedy="Attest again: the token was made for another nonce. If it fails again, treat it as a replay.",
        ),
        CheckInfo(
            id="T13",
            requires="x-ms-runtime.keys: our ephemeral key is the first encryption key and the only one (Key Vault "
            "takes the first)",
            establishes="Key Vault will encrypt to our TPM's key and to no other.",
            remedy=_AGAIN,
        ),
        CheckInfo(
            id="T14",
            requires="x-ms-isolation-tee.x-ms-runtime has exactly one HCLAkPub, and it is the AK that we appraised",
            establishes="Microsoft appraised the same AK.",
            remedy="Attest again: the token is for another AK, of an earlier boot or of another machine.",
        ),
        CheckInfo(
            id="T15",
            requires="every claim that repeats the hardware report agrees with the report that we appraised, and "
            "vmUniqueId is the same",
            establishes="Microsoft appraised the same report of the same machine. If the two verdicts differ, neither "
            "counts.",
            remedy="Attest again: Azure Attestation appraised another report. If it fails again, investigate which "
            "endpoint is responding.",
        ),
        CheckInfo(
            id="T16",
            requires="x-ms-policy-hash is pinned, where the reference values pin it",
            establishes="The provider's policy is the one that you reviewed.",
            remedy="Compare the policy in force (`cji provider policy show`) with `maa_policy_hashes`, and investigate "
            "who changed it.",
        ),
        CheckInfo(
            id="T17",
            requires="the attested PCRs are 0 to 7 and, where the token has their values, ours",
            establishes="Microsoft appraised the same measured boot.",
            remedy="Attest again: a PCR may have changed between the two verdicts.",
        ),
        CheckInfo(
            id="T18",
            requires="the signing key lives in an enclave that the reference values name, where they name one",
            establishes="AMD vouches for the enclave that holds the key, by evidence in its certificate; so the "
            "service was run as Microsoft published it, not by whoever controls its address.",
            remedy="Ask Microsoft for the values in force and compare them with `maa_enclave`.",
        ),
    ),
)
