"""The evidence of a machine: the bundle, its parsers, and how it is bound to a moment.

`cji_attestation.evidence.collect` uses the vTPM and needs its libraries. Reading a bundle does not, so this module does
not import it.
"""

from cji_attestation.evidence.ak_chain import ak_chain
from cji_attestation.evidence.binding import bind, maa_nonce, qualifying_data
from cji_attestation.evidence.bundle import (
    IMPORTED,
    MAX_EVIDENCE_BYTES,
    Evidence,
    MeasuredBoot,
    TdCollateral,
    TdStatements,
)
from cji_attestation.evidence.event_log import Event, read_logs, replay
from cji_attestation.evidence.hcl import HclReport, Tee, parse_hcl
from cji_attestation.evidence.nonces import MAX_NONCES, MAX_PATH_BYTES, NONCE_BYTES, gather, root_of
from cji_attestation.evidence.snp_report import SnpReport, Tcb, parse_snp_report
from cji_attestation.evidence.td_quote import TdQuote, TdReport, TdxTcb, parse_td_quote, parse_td_report
from cji_attestation.evidence.tpm_structures import TpmAttest, TpmClock, TpmRsaPublic, parse_attest, parse_rsa_public

__all__ = [
    "IMPORTED",
    "MAX_EVIDENCE_BYTES",
    "MAX_NONCES",
    "MAX_PATH_BYTES",
    "NONCE_BYTES",
    "Event",
    "Evidence",
    "HclReport",
    "MeasuredBoot",
    "SnpReport",
    "Tcb",
    "TdCollateral",
    "TdQuote",
    "TdReport",
    "TdStatements",
    "TdxTcb",
    "Tee",
    "TpmAttest",
    "TpmClock",
    "TpmRsaPublic",
    "ak_chain",
    "bind",
    "gather",
    "maa_nonce",
    "parse_attest",
    "parse_hcl",
    "parse_rsa_public",
    "parse_snp_report",
    "parse_td_quote",
    "parse_td_report",
    "qualifying_data",
    "read_logs",
    "replay",
    "root_of",
]
