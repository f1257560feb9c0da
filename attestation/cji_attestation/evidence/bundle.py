"""`Evidence`: everything that one machine shows at one moment, as one canonical JSON text.

The text is msgspec's encoding of the fields in their order, bytes as standard base64. A text that does not encode back
to itself is refused, so its SHA-384 names exactly one bundle. Version 2 is version 1 and Intel's collateral; version 3
has the measured boot in addition, and collateral if it is of TDX. Each version has exactly its own members. Version 4
was imported from another collector (`cji_attestation.evidence.imported`): its quote may be of more PCRs, and it has no
ephemeral key. No key is released to it, so no worker shows it, and `from_json` takes it only if it is asked to.
"""

import hashlib
from typing import Final, Literal

import msgspec

from cji_attestation.errors import invalid
from cji_attestation.evidence.hcl import Tee
from cji_attestation.evidence.tpm_structures import TpmClock, parse_attest
from cji_core.documents import OneForm
from cji_core.strict import StrictError

IMPORTED: Final = 4
MAX_EVIDENCE_BYTES: Final = 512 * 1024  # a real bundle has about 100 KiB, most of it the event log


class TdStatements(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Intel's two statements on a processor's TCB, as one update channel has them."""

    tcb_info_issuer_chain: str
    tcb_info: str  # the value of "tcbInfo", without the object around it
    tcb_info_signature: bytes
    qe_identity_issuer_chain: str
    qe_identity: str  # the value of "enclaveIdentity"
    qe_identity_signature: bytes


class TdCollateral(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Intel's documents on a processor, as they were when the quote was made (`cji_attestation.evidence.pcs`).

    Each text is kept exactly as it was served, because the signatures are over those bytes. Chains are PEM, leaf first,
    root last; CRLs are DER; signatures are 64 bytes, r and s. The statements are those of the update channel
    "standard"; `early` has those of the channel "early", which are the standard some months later.
    """

    pck_crl_issuer_chain: str
    root_ca_crl: bytes
    pck_crl: bytes
    tcb_info_issuer_chain: str
    tcb_info: str  # the value of "tcbInfo", without the object around it
    tcb_info_signature: bytes
    qe_identity_issuer_chain: str
    qe_identity: str  # the value of "enclaveIdentity"
    qe_identity_signature: bytes
    early: TdStatements | msgspec.UnsetType = msgspec.UNSET  # absent where another collector had none


class MeasuredBoot(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The second quote of a machine, over PCRs 8 to 15, and the event logs that explain PCRs 0 to 15.

    Made with the first quote, over the same qualifying data. `command_line` is the kernel's, as it reports it.
    """

    quote: bytes  # TPMS_ATTEST
    quote_signature: bytes  # RSASSA-SHA256 by the AK
    pcrs: tuple[bytes, ...]  # SHA-256 PCRs 8 to 15
    firmware_log: bytes  # as the kernel's binary_bios_measurements
    userspace_log: bytes  # systemd's records, and the worker's own start
    command_line: str


class Evidence(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Nothing in it is secret, and nothing in it is trusted before `cji_attestation.appraisal.appraise`."""

    version: Literal[1, 2, 3, 4] = 1
    tee: Tee
    hcl_report: bytes  # without padding
    ak_public: bytes  # TPM2B_PUBLIC
    ak_cert: bytes  # DER: its certificate, then those of its issuers up to the root; empty if the vTPM has none
    certs: bytes  # PEM: VCEK, ASK, ARK; empty for tdx
    td_quote: bytes  # empty for snp
    quote: bytes  # TPMS_ATTEST
    quote_signature: bytes  # RSASSA-SHA256 by the AK
    pcrs: tuple[bytes, ...]  # SHA-256 PCRs 0 to 7; in version 4 all that are quoted, in ascending order
    ephemeral: bytes  # TPM2B_PUBLIC of the key that answers are encrypted to; this and the next two empty in version 4
    certify: bytes  # TPMS_ATTEST
    certify_signature: bytes
    collateral: TdCollateral | msgspec.UnsetType = msgspec.UNSET  # of the TD quote
    boot: MeasuredBoot | msgspec.UnsetType = msgspec.UNSET

    def __post_init__(self) -> None:
        collateral = isinstance(self.collateral, TdCollateral)
        if collateral and self.tee != "tdx":
            raise ValueError("collateral belongs to tdx")
        if (self.version == 3) != isinstance(self.boot, MeasuredBoot) or (self.version < 3 and collateral) != (
            self.version == 2
        ):
            raise ValueError("collateral and boot belong to other versions")
        if self.version == IMPORTED and (self.ephemeral or self.certify or self.certify_signature):
            raise ValueError("imported evidence has no ephemeral key")
        if self.td_quote if self.tee == "snp" else self.certs:
            raise ValueError("an SNP machine has a certificate chain, a trust domain has a quote")

    def to_json(self) -> bytes:
        """The canonical text."""
        return msgspec.json.encode(self)

    @classmethod
    def from_json(cls, data: bytes, *, imported: bool = False) -> "Evidence":
        """Read a canonical text; raises AttestationError(EVIDENCE_INVALID, "evidence-json").

        Imported evidence is refused unless `imported` is true.
        """
        try:
            evidence = OneForm(cls, limit=MAX_EVIDENCE_BYTES).decode(data)
            if evidence.version == IMPORTED and not imported:
                raise StrictError("imported evidence")
        except StrictError as error:
            raise invalid("evidence-json") from error
        return evidence

    @property
    def firmware_log(self) -> bytes:
        """The firmware's event log; empty without a measured boot."""
        return self.boot.firmware_log if isinstance(self.boot, MeasuredBoot) else b""

    @property
    def sha384(self) -> bytes:
        """48 bytes: SHA-384 of the canonical text."""
        return hashlib.sha384(self.to_json()).digest()

    @property
    def clock(self) -> TpmClock:
        """The TPM's clock as the quote signs it."""
        return parse_attest(self.quote).clock
