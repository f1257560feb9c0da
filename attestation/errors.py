"""The one error of `attestation`: a closed Fault, the check that found it, and what to do about it.

The text is made from these closed sets only; it never holds evidence, tokens, keys or another exception's words.
Detail for developers travels in `__cause__`.
"""

import enum
from typing import Final

__all__ = ["CHECK_REMEDIES", "REMEDIES", "AttestationError", "Fault"]


class Fault(enum.StrEnum):
    """What went wrong between this machine and its key."""

    NOT_CONFIDENTIAL = "NOT_CONFIDENTIAL"
    EVIDENCE_UNAVAILABLE = "EVIDENCE_UNAVAILABLE"
    EVIDENCE_INVALID = "EVIDENCE_INVALID"
    UNTRUSTED_ROOT = "UNTRUSTED_ROOT"
    POLICY_MISMATCH = "POLICY_MISMATCH"
    MAA_UNAVAILABLE = "MAA_UNAVAILABLE"
    MAA_REFUSED = "MAA_REFUSED"
    TOKEN_INVALID = "TOKEN_INVALID"  # noqa: S105 - a name, not a password
    IDENTITY_UNAVAILABLE = "IDENTITY_UNAVAILABLE"
    RELEASE_DENIED = "RELEASE_DENIED"
    RELEASE_THROTTLED = "RELEASE_THROTTLED"
    RELEASE_UNAVAILABLE = "RELEASE_UNAVAILABLE"
    RELEASE_INVALID = "RELEASE_INVALID"
    CONFIG_INVALID = "CONFIG_INVALID"


REMEDIES: Final[dict[Fault, str]] = {
    Fault.NOT_CONFIDENTIAL: "Run on a confidential VM size (DCas/ECas v5 or v6, DCes/ECes v6) with vTPM enabled.",
    Fault.EVIDENCE_UNAVAILABLE: "The vTPM, the instance metadata service or, of TDX, Intel's certification service "
    "did not answer; the AK certificate of a new VM can take minutes. Check /dev/tpmrm0, group tss and, for checks of "
    "pcs, outbound rules; then try again.",
    Fault.EVIDENCE_INVALID: "The evidence is broken or does not belong together. Reboot the VM or redeploy it.",
    Fault.UNTRUSTED_ROOT: "The evidence ends in a root that is not pinned here. Production pins AMD's and "
    "Intel's own roots only.",
    Fault.POLICY_MISMATCH: "The machine is genuine but below the reference values. Compare them with the check named.",
    Fault.MAA_UNAVAILABLE: "Azure Attestation did not answer. Check the provider URL, DNS and outbound rules.",
    Fault.MAA_REFUSED: "Azure Attestation refused the evidence. Check secure boot and the provider's policy.",
    Fault.TOKEN_INVALID: "The attestation token failed a check. Compare provider URL and clock with the check named.",
    Fault.IDENTITY_UNAVAILABLE: "No token of the managed identity. Assign the identity and its client id to this VM.",
    Fault.RELEASE_DENIED: "Key Vault refused. Compare the key's release policy and the identity's role "
    "'Key Vault Crypto Service Release User'.",
    Fault.RELEASE_THROTTLED: "Key Vault throttles releases (10 per 10 s and vault). Wait for the time given.",
    Fault.RELEASE_UNAVAILABLE: "Key Vault did not answer. Check its name, private endpoint and outbound rules.",
    Fault.RELEASE_INVALID: "The release statement does not describe the pinned key. Stop and find out who answers.",
    Fault.CONFIG_INVALID: "Correct the attestation section of the configuration; the check names the item.",
}

CHECK_REMEDIES: Final[dict[str, str]] = {
    "E08": "The processor is not among `products`. Milan (the v5 sizes) needs arXiv:2605.12990 under `accepted` too.",
    "E12": "A patch level is below the floor or an advisory. Redeploy the VM to reach an updated host; lower no floor.",
    "E22": "The AK is not the one that made the quote. On a machine that you trust: reboot it, then attest again.",
    "E28": "Intel's collateral is out of its time, revokes this processor or lists no level for it. Check the clock; "
    "else redeploy the VM to reach an updated host.",
    "E29": "Intel's TCB status is not among `tcb_statuses`. Redeploy the VM to reach an updated host; another status "
    "is a decision, with its advisories under `accepted`.",
    "E30": "Intel's statements are older than `tcb_evaluation`. Check the clock, and which number Intel serves now.",
    "E31": "The list of advisories is over, or the clock is before its review. Read the vendors' bulletins since then "
    "and set `reviewed` and `expires` anew. Old evidence is judged by the list of its time.",
    "E32": "An advisory is open for this machine, or its acceptance is over. Use another machine, or decide again: an "
    "entry under `accepted` with id, reason and a day.",
    "E33": "AMD's CRL is out of its time, not AMD's, or revokes this chain. Fetch it anew from kdsintf.amd.com.",
    "E34": "The host did not check its memory for aliases (AMD-SB-3015). Redeploy the VM to reach another host.",
    "E35": "The vTPM was reset, resumed or rolled back. Restart the worker; if nobody rebooted the VM, find out why.",
    "T06": "The token is not of now. Check the machine's clock.",
    "T15": "Azure Attestation judged another report than we did. Attest again; if it stays, find out who answers.",
    "T16": "The provider's policy is not among `maa_policy_hashes`. `cji provider policy show` says which is in force; "
    "find out who set it.",
    "T18": "The token's key is not in an enclave that `maa_enclave` names. Ask Microsoft for the values in force.",
    "kek-id": "A key's id is https://{vault or HSM}/keys/{name}/{version}: with its version, and without the port that "
    "some tools print for a Managed HSM.",
    "region": "The machine is not in the region that the configuration states, or that is none of this cloud's regions "
    "in the United States.",
    "reference-accepted": "Each entry under `accepted` has id, reason and a day; `products` with Milan needs one for "
    "arXiv:2605.12990.",
    "reference-advisories": "The list of advisories is empty, lasts longer than a year, or names something twice or "
    "without a level of 1 to 255.",
    "reference-amd_crls": "Give AMD's CRL of every product among `products`, or of none.",
}
"""For checks of which more can be said than for their fault."""


class AttestationError(Exception):
    """Evidence, token or key was not accepted. `check` is a short code such as "T07"; `retry_after` is in seconds."""

    def __init__(self, fault: Fault, *, check: str, retry_after: float | None = None) -> None:
        super().__init__(fault, check)
        self.fault = fault
        self.check = check
        self.retry_after = retry_after

    @property
    def remedy(self) -> str:
        """What an operator can do."""
        return CHECK_REMEDIES.get(self.check, REMEDIES[self.fault])

    def __str__(self) -> str:
        return f"{self.fault.value} at {self.check}: {self.remedy}"
