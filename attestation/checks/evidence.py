"""The E checks: authenticity first, where the first failure ends the appraisal, then policy, which reports them all.

Sources: AMD 56860 (report), AMD 57230 (certificates), TCG TPM 2.0 Library Parts 1 to 3, Intel TDX Module ABI and PCS
API v4, learn.microsoft.com, "Azure confidential VM guest attestation design".
"""

from typing import Final

from attestation.checks.entry import CheckInfo, Group

__all__ = ["EVIDENCE"]

_COLLECT: Final = "Collect the evidence again; if it fails again, redeploy the VM."
_FOREIGN: Final = "Treat the bundle as forged. Collect it again, from the machine itself."
_HOST: Final = "Redeploy the VM to reach another host."

_REPORT: Final = Group(
    title="Authenticity: the HCL report",
    checks=(
        CheckInfo(
            id="E01",
            requires="the HCL report parses, has nothing after it and is of the kind that the bundle names",
            establishes="The bytes are Azure's report and nothing else; there is no second reading of them.",
            remedy=_COLLECT,
        ),
        CheckInfo(
            id="E02",
            requires="report_data is the hash of the exact runtime claims, the rest of it zero",
            establishes="The processor vouches for the runtime claims, and so for the AK in them.",
            remedy=_FOREIGN,
        ),
        CheckInfo(
            id="E03",
            requires="the claims hold exactly one HCLAkPub, RSA of at least 2048 bits with exponent 65537",
            establishes="There is one AK, and it is strong enough.",
            remedy=_COLLECT,
        ),
    ),
)

_SNP: Final = Group(
    title="Authenticity: AMD SEV-SNP",
    checks=(
        CheckInfo(
            id="E36",
            requires="the report has a known version, and its reserved bits are as AMD specifies",
            establishes="Every bit of the report has the meaning that this reader gives it.",
            remedy="Update this software: the host's firmware may write a report version that it does not know.",
        ),
        CheckInfo(
            id="E37",
            requires="the report names a VCEK as its signing key, not a VLEK, and does not mask the chip id",
            establishes="The signing key belongs to one chip. A cloud provider holds a VLEK for many chips.",
            remedy="Use a host that signs with its VCEK, as Azure's do. Redeploying on the same provider of VLEKs does "
            "not help.",
        ),
        CheckInfo(
            id="E39",
            requires="VCEK, ASK and ARK stand in this order",
            establishes="Each certificate is checked in its own role.",
            remedy="Put the certificates in the order VCEK, ASK, ARK. The machine itself is not at fault.",
        ),
        CheckInfo(
            id="E04",
            requires="the key of the AMD root is one of the trust's pins",
            establishes="The chain ends in AMD's own root key, by its digest, not by its name.",
            remedy="Check that the cloud named is the one the evidence comes from. Production pins AMD's roots only.",
        ),
        CheckInfo(
            id="E05",
            requires="exactly VCEK, ASK, ARK, each signed by the next, of one product",
            establishes="AMD issued the chip's certificate, for this product family.",
            remedy="Fetch the chain again, from the instance metadata service or kdsintf.amd.com.",
        ),
        CheckInfo(
            id="E38",
            requires="VCEK, ASK and ARK are within their validity",
            establishes="The chain is neither expired nor from the future.",
            remedy="Check the clock or the time given with --at; if it is right, fetch the chain again.",
        ),
        CheckInfo(
            id="E06",
            requires="the VCEK signed the report (ECDSA P-384, SHA-384)",
            establishes="A real AMD processor made the report.",
            remedy=_FOREIGN,
        ),
        CheckInfo(
            id="E07",
            requires="the VCEK was made for this chip, product and reported TCB",
            establishes="This very chip made the report, at the patch level that it reports.",
            remedy="Collect the evidence again: the host may have been updated between report and certificate.",
        ),
        CheckInfo(
            id="E33",
            requires="AMD's CRL of the product, if given, is authentic and in force and revokes neither ASK nor VCEK",
            establishes="AMD has not withdrawn the chain. Without a CRL the verdict records that revocation was not "
            "checked.",
            remedy="Fetch AMD's current CRL from kdsintf.amd.com. If it revokes the chain, use another machine.",
        ),
    ),
)

_TDX: Final = Group(
    title="Authenticity: Intel TDX",
    checks=(
        CheckInfo(
            id="E13",
            requires="the bundle holds the quote and Intel's collateral for it",
            establishes="There is a quote to verify, with what Intel publishes about its processor.",
            remedy="Collect the evidence again with this version of the worker, which adds Intel's collateral.",
        ),
        CheckInfo(
            id="E24",
            requires="the TDREPORT is whole: its kind, its reserved bytes, its hashes",
            establishes="The report is what a TDX module makes.",
            remedy=_COLLECT,
        ),
        CheckInfo(
            id="E25",
            requires="the quote repeats the TDREPORT field by field and comes from the same processor",
            establishes="The quote is of this report, not of another one of the same machine.",
            remedy=_COLLECT,
        ),
        CheckInfo(
            id="E26",
            requires="TD attributes: no debugging, profiling or migration, no unknown bit",
            establishes="The host cannot debug or profile the domain, and it cannot be moved.",
            remedy="Deploy an ordinary confidential VM: this domain was launched with attributes that weaken it.",
        ),
        CheckInfo(
            id="E27",
            requires="the TDX module is Intel's own",
            establishes="Intel, and nobody else, made the module that isolates the domain.",
            remedy=_HOST,
        ),
        CheckInfo(
            id="E23",
            requires="the key of the Intel root is one of the trust's pins",
            establishes="The chain ends in Intel's own root key, by its digest.",
            remedy="Check that the cloud named is the one the evidence comes from. Production pins Intel's root only.",
        ),
        CheckInfo(
            id="E28",
            requires="the quote is signed up to that root; every certificate, CRL and statement is in force, none is "
            "revoked",
            establishes="Intel vouches for the processor and the quoting enclave, and has not withdrawn that.",
            remedy="Check the clock, then collect the evidence again for current collateral. If it fails again, "
            "redeploy the VM: Intel revoked this processor or lists no level for it.",
        ),
    ),
)

_VTPM: Final = Group(
    title="Authenticity: vTPM and measured boot",
    checks=(
        CheckInfo(
            id="E14",
            requires="HCLAkPub signed the quote",
            establishes="The vTPM that the hardware vouches for made the quote.",
            remedy=_FOREIGN,
        ),
        CheckInfo(
            id="E15",
            requires="it is a quote that a TPM made (magic and type)",
            establishes="A restricted key signs only what the TPM itself made, so this is no text that somebody had "
            "signed.",
            remedy=_FOREIGN,
        ),
        CheckInfo(
            id="E16",
            requires="the quote carries the expected qualifying data",
            establishes="The quote answers this nonce for this worker's receipt key; it is no replay.",
            remedy="Ask for evidence with a fresh nonce of your own, and check it against that nonce and the receipt "
            "key that came with it.",
        ),
        CheckInfo(
            id="E17",
            requires="it selects PCRs 0 to 7 of the SHA-256 bank and nothing else",
            establishes="The measurements of the boot are quoted, and no PCR that anybody may reset replaces them.",
            remedy="Request the quote over PCRs 0 to 7 of the SHA-256 bank.",
        ),
        CheckInfo(
            id="E18",
            requires="its digest is that of the PCR values, and no PCR is all zeros or all ones",
            establishes="The values beside the quote are the quoted ones, and the boot was measured at all.",
            remedy="Collect the evidence again. If a PCR is all zeros or all ones, create a VM with secure "
            "boot and vTPM enabled.",
        ),
        CheckInfo(
            id="E20",
            requires="HCLAkPub certified the ephemeral key by its name",
            establishes="The key that answers are encrypted to is in the same TPM.",
            remedy=_FOREIGN,
        ),
        CheckInfo(
            id="E21",
            requires="the ephemeral key cannot leave the TPM, is not restricted, and is bound to the same PCR values",
            establishes="Answers can be opened on this machine only, and only while it is in the quoted state.",
            remedy=_COLLECT,
        ),
        CheckInfo(
            id="E22",
            requires="certificate and public area of the AK are HCLAkPub's, restricted to signing, and name the "
            "quote's signer",
            establishes="The AK is the key whose every attribute the quote commits to. Azure Attestation checks who "
            "issued its certificate (T04).",
            remedy="Reboot the VM so that Azure writes a certificate for the current AK, then attest again.",
        ),
        CheckInfo(
            id="E35",
            requires="the TPM's clock advanced since the earlier quote, without reset or restart",
            establishes="The vTPM was not rolled back, resumed or exchanged. Its clock is independent of wall time.",
            remedy="Restart the worker. If nobody rebooted the VM, investigate what did.",
        ),
    ),
)

_POLICY: Final = Group(
    title="Policy: every failure is reported",
    checks=(
        CheckInfo(
            id="E31",
            requires="the operator's list of advisories, where there is one, is in force",
            establishes="The operator reviewed the vendors' bulletins recently, and the clock was not set back.",
            remedy="Check the clock. Read the vendors' bulletins since the last review and renew `reviewed` and "
            "`expires`. For old evidence use the list of its time.",
        ),
        CheckInfo(
            id="E08",
            requires="the product is among the reference values",
            establishes="The processor generation is one that you decided to trust.",
            remedy="Deploy on a size with a product in `products`, or add this one. Milan (the v5 sizes) needs "
            "arXiv:2605.12990 under `accepted` too.",
        ),
        CheckInfo(
            id="E09",
            requires="debug is off (policy bit 19), migration is off (bit 18)",
            establishes="The host cannot read the guest's memory, and no agent can move it to another machine.",
            remedy="Deploy an ordinary confidential VM: this guest was launched with a weak policy.",
        ),
        CheckInfo(
            id="E10",
            requires="the report was made at VMPL 0",
            establishes="The most privileged layer inside the machine, Azure's paravisor, requested the report.",
            remedy="Collect the report from the vTPM, where the paravisor puts it, not from a device in the guest.",
        ),
        CheckInfo(
            id="E29",
            requires="Intel's TCB status is one that the reference values accept",
            establishes="The machine's patch level is one that you accept, in Intel's own words.",
            remedy="Redeploy the VM to reach an updated host. To accept another status, add it to `tcb_statuses` and "
            "its advisories to `accepted`.",
        ),
        CheckInfo(
            id="E30",
            requires="Intel's TCB info and QE identity have the pinned evaluation data number or a later one",
            establishes="The statement of what is up to date is not itself out of date.",
            remedy="Check the clock, and compare `tcb_evaluation` with the number that Intel publishes now.",
        ),
        CheckInfo(
            id="E11",
            requires="the launch measurement (MRTD) is not empty and, where pinned, known",
            establishes="Some firmware was measured; where pinned, it is one that you know. Microsoft changes it with "
            "the platform.",
            remedy="Compare the measurement found with `measurements`, and add it if Microsoft changed the platform.",
        ),
        CheckInfo(
            id="E12",
            requires="reported, committed and launch TCB reach the product's floor and advisories in every component",
            establishes="No part of the firmware is older than the fixes that you require: neither what runs, nor what "
            "the host may go back to, nor what launched the guest.",
            remedy="Redeploy the VM to reach an updated host. Do not lower the floor.",
        ),
        CheckInfo(
            id="E32",
            requires="no advisory is open for this machine, unless it is accepted by name until a day",
            establishes="A known hole is used only by a decision with a reason and a last day. Verdict, receipt and "
            "audit name it.",
            remedy="Use another machine, or record a time-limited exception under `accepted`: id, reason and a day.",
        ),
        CheckInfo(
            id="E34",
            requires="the firmware's memory alias check is complete, or AMD-SB-3015 is accepted",
            establishes="The firmware looked for memory that lies about its size (BadRAM, CVE-2024-21944). Reports of "
            "version 2 cannot show it.",
            remedy="Redeploy the VM to reach another host, or accept AMD-SB-3015 for a limited time.",
        ),
        CheckInfo(
            id="E19",
            requires="pinned PCRs have an allowed value",
            establishes="The machine booted what you pinned.",
            remedy="Boot the image that was pinned. After an update, take the new values from a golden machine with "
            "`cji evidence pcrs`.",
        ),
    ),
)

EVIDENCE: Final = (_REPORT, _SNP, _TDX, _VTPM, _POLICY)
