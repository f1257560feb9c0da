"""`TdCollateral`: what Intel publishes about a processor, as it was when the quote was made.

Each text is kept exactly as it was served, because the signatures are over those bytes. Where they come from:
`cji_attestation.evidence.pcs`.
"""

import msgspec


class TdCollateral(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Chains are PEM, leaf first, root last; CRLs are DER; signatures are 64 bytes, r and s."""

    pck_crl_issuer_chain: str
    root_ca_crl: bytes
    pck_crl: bytes
    tcb_info_issuer_chain: str
    tcb_info: str  # the value of "tcbInfo", without the object around it
    tcb_info_signature: bytes
    qe_identity_issuer_chain: str
    qe_identity: str  # the value of "enclaveIdentity"
    qe_identity_signature: bytes
