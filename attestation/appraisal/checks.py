"""What each check of an appraisal demands, for people. The ids are those of `appraise` and never change meaning."""

from typing import Final

__all__ = ["CHECKS"]

CHECKS: Final[dict[str, str]] = {
    "E01": "the HCL report parses, has nothing behind it and is of the kind that the bundle names",
    "E02": "report_data is the hash of the exact runtime claims, the rest of it zero",
    "E03": "the claims hold exactly one HCLAkPub, RSA of at least 2048 bits with exponent 65537",
    "E04": "the AMD root's key is one of the trust's pins",
    "E05": "exactly VCEK, ASK, ARK, each signed by the next, valid now, of one product",
    "E06": "the VCEK signed the report (ECDSA P-384, SHA-384), and chip_id is not masked",
    "E07": "the VCEK was made for this chip, product and reported TCB",
    "E08": "the product is among the reference values",
    "E09": "debug is off (policy bit 19), migration is off (bit 18)",
    "E10": "the report was made at VMPL 0",
    "E11": "the launch measurement (MRTD) is not empty and, where pinned, known",
    "E12": "reported, committed and launch TCB reach floor and advisories of the product in every component",
    "E13": "the bundle holds the quote and Intel's collateral for it",
    "E14": "HCLAkPub signed the quote",
    "E15": "it is a quote that a TPM made (magic and type)",
    "E16": "its extra data are the expected qualifying data",
    "E17": "it selects PCRs 0 to 7 of the SHA-256 bank and nothing else",
    "E18": "its digest is that of the PCR values, and no PCR is all zeros or all ones",
    "E19": "pinned PCRs have an allowed value",
    "E20": "HCLAkPub certified the ephemeral key by its name",
    "E21": "the ephemeral key cannot leave the TPM, is not restricted, and is bound to the same PCR values",
    "E22": "certificate and public area of the AK are HCLAkPub's, restricted to signing, and name the quote's signer",
    "E23": "the Intel root's key is one of the trust's pins",
    "E24": "the TDREPORT is whole: its kind, its reserved bytes, its hashes",
    "E25": "the quote repeats the TDREPORT field by field and comes from the same processor",
    "E26": "TD attributes: no debugging, profiling or migration, no unknown bit",
    "E27": "the TDX module is Intel's own",
    "E28": "the quote is signed up to that root, and no certificate, CRL or statement is revoked or out of its time",
    "E29": "Intel's TCB status is one that the reference values accept",
    "E30": "Intel's TCB info and QE identity are of the pinned evaluation data number or a later one",
    "E31": "the operator's list of advisories, where there is one, is in its time",
    "E32": "no advisory is open for this machine, save those that are accepted by name until a day",
    "E33": "AMD's CRL of the product, where given, is authentic and in its time and revokes neither ASK nor VCEK",
    "E34": "the firmware's memory alias check is complete, or AMD-SB-3015 is accepted",
    "E35": "the TPM's clock went on since the earlier quote, without reset or restart",
    "E36": "the report is of a known version, and its reserved bits are as AMD says",
}
