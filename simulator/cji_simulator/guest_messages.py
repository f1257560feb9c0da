"""The AzureGuest request, protocol 2.0, as the clients of the service write it.

Unknown members are ignored, as the service does; base64 members are decoded where they are checked.
"""

import msgspec

__all__ = ["Evidence", "GuestRequest", "Isolation", "Pcr", "SnpProof", "TpmInfo"]


class Pcr(msgspec.Struct, frozen=True, rename="pascal"):
    """One PCR value."""

    index: int
    digest: str


class TpmInfo(msgspec.Struct, frozen=True, rename="pascal"):
    """Evidence from the TPM, in base64."""

    aik_cert: str
    aik_pub: str
    pcr_quote: str
    pcr_signature: str
    enc_key_pub: str
    enc_key_certify_info: str
    enc_key_certify_info_signature: str
    pcr_set: list[int]
    pcrs: list[Pcr] = msgspec.field(name="PCRs")


class Evidence(msgspec.Struct, frozen=True, rename="pascal"):
    """Evidence from the hardware, in base64."""

    proof: str
    run_time_data: str


class Isolation(msgspec.Struct, frozen=True, rename="pascal"):
    """SevSnp with evidence, or TrustedLaunch without."""

    type: str
    evidence: Evidence | None = None


class SnpProof(msgspec.Struct, frozen=True, rename="pascal"):
    """The content of `Proof`."""

    snp_report: str
    vcek_cert_chain: str


class GuestRequest(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """The content of AttestationInfo."""

    attestation_protocol_version: str
    tpm_info: TpmInfo
    isolation_info: Isolation
    client_payload: dict[str, str] = {}
    os_type: str = msgspec.field(name="OSType", default="")
    os_distro: str = msgspec.field(name="OSDistro", default="")
    os_build: str = msgspec.field(name="OSBuild", default="")
    os_version_major: int | str = msgspec.field(name="OSVersionMajor", default=0)
    os_version_minor: int | str = msgspec.field(name="OSVersionMinor", default=0)
    tcg_logs: str = ""
