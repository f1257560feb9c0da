"""The S checks, on what Key Vault says it released. The certificate of the vault's TLS endpoint signs the statement.

Source: learn.microsoft.com, "Azure Key Vault keys, secure key release".
"""

from typing import Final

from attestation.checks.entry import CheckInfo, Group

__all__ = ["STATEMENT"]

_ENDPOINT: Final = "Stop and investigate which endpoint is responding: the pinned vault did not make this statement."

STATEMENT: Final = Group(
    title="The release of the key",
    checks=(
        CheckInfo(
            id="S01",
            requires="compact JWS, RS256, at most 128 KiB, with an x5c chain of 2 to 6 certificates",
            establishes="There is one reading of the statement.",
            remedy=_ENDPOINT,
        ),
        CheckInfo(
            id="S02",
            requires="the chain ends in the trust's release roots, is valid now and for servers, and its leaf names "
            "the vault's host",
            establishes="The pinned vault's own certificate stands behind it.",
            remedy="Check the machine's clock and the package ca-certificates. If both are right, investigate which "
            "endpoint is responding.",
        ),
        CheckInfo(
            id="S03",
            requires="the leaf signed the statement",
            establishes="The vault made the statement, and nobody in between changed it.",
            remedy=_ENDPOINT,
        ),
        CheckInfo(
            id="S04",
            requires="request.kid is the pinned id with version, and so is response.key.key.kid",
            establishes="It is about the key version that was requested.",
            remedy="Compare `kek_id` with the key's id in the vault, version included.",
        ),
        CheckInfo(
            id="S05",
            requires="request.nonce is ours",
            establishes="It is no replay of an earlier release.",
            remedy="Stop and investigate which endpoint is responding: the statement answers another request.",
        ),
        CheckInfo(
            id="S06",
            requires="request.enc is RSA_AES_KEY_WRAP_256",
            establishes="The key travelled under AES key wrap and RSA-OAEP with SHA-256, not under SHA-1.",
            remedy=_ENDPOINT,
        ),
        CheckInfo(
            id="S07",
            requires="the key is enabled and exportable; RSA of at least 3072 bits for encryption, or P-256, P-384 or "
            "P-521 for signing. A symmetric key (oct-HSM) is refused: it has no public part that could be pinned",
            establishes="The key is in force, strong enough, and of a kind that can be compared with a pin.",
            remedy="Enable the key version, or create an exportable RSA-HSM key of 3072 bits and pin that one.",
        ),
        CheckInfo(
            id="S08",
            requires="its public part has the pinned thumbprint: nobody put another key in its place",
            establishes="It is the key that data were sealed to.",
            remedy="Compare `public_thumbprint` with the key that submitters seal to. If it is right, do not use this "
            "key: investigate who replaced it.",
        ),
        CheckInfo(
            id="S09",
            requires="its release policy is the pinned one, where it is pinned",
            establishes="The conditions of the release are those that were reviewed.",
            remedy="Review the key's release policy in force (`cji policy lint`), then pin its digest or restore the "
            "reviewed one.",
        ),
        CheckInfo(
            id="S10",
            requires="key_hsm says the same wrap, `dir`, and carries a ciphertext",
            establishes="The ciphertext is that of this release.",
            remedy=_ENDPOINT,
        ),
    ),
)
