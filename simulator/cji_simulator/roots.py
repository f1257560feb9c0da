"""All trust anchors of one simulation, made once and kept in its state folder.

Nothing in here chains to, or is accepted in place of, a real root: that is the whole difference between a simulated
machine and a real one.
"""

import hashlib
import uuid
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ObjectIdentifier

from cji_simulator import amd
from cji_simulator.certificates import (
    COMPLETE,
    Credential,
    PrivateKey,
    authority,
    leaf,
    name,
    pem,
    rsa_keys,
    usable,
    validity,
    write_private,
)
from cji_simulator.snp import Tcb

__all__ = ["HOST", "Roots"]

HOST: Final = "127.0.0.1"
_NAMES: Final = ("tls-ca", "tls", "vault-ca", "vault", "vtpm-ca", "maa-ca", "ark", "ask", "vcek")
_ENCLAVE_EVIDENCE: Final = "1.3.6.1.4.1.311.105.1000.1"  # the real one is about 30 KB
_ENCLAVE_KIND: Final = "1.3.6.1.4.1.311.105.1000.2"


@dataclass(slots=True, kw_only=True)
class Roots:
    """Credentials by what they do. VCEK and TCB change when the host is updated, all else stays."""

    tls: Credential  # serves MAA and Key Vault
    vault: Credential  # signs release statements
    vtpm_ca: Credential  # certifies attestation keys
    maa_ca: Credential  # certifies one of MAA's two signing keys
    ark: Credential
    ask: Credential
    vcek: Credential
    chip_id: bytes
    tcb: Tcb

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Load the roots of `folder`, or make them, which takes a second; replace them if they are about to end."""
        if not usable(folder):
            _make(folder)
        load = {stem: Credential.load(folder / stem) for stem in _NAMES}
        return cls(
            tls=load["tls"],
            vault=load["vault"],
            vtpm_ca=load["vtpm-ca"],
            maa_ca=load["maa-ca"],
            ark=load["ark"],
            ask=load["ask"],
            vcek=load["vcek"],
            chip_id=(folder / "chip-id").read_bytes(),
            tcb=Tcb(),
        )

    @property
    def ark_spki_sha256(self) -> str:
        """Hex SHA-256 of the ARK's SubjectPublicKeyInfo."""
        return _spki_sha256(self.ark.certificate)

    @property
    def vtpm_spki_sha256(self) -> str:
        """The same of the vTPM's root."""
        return _spki_sha256(self.vtpm_ca.chain[-1])

    @property
    def ak_issuers(self) -> str:
        """PEM: who issues certificates of attestation keys, up to the root."""
        return "".join(pem(one).decode() for one in self.vtpm_ca.chain)

    @property
    def tls_pem(self) -> str:
        """Root of the HTTPS servers."""
        return pem(self.tls.chain[-1]).decode()

    @property
    def release_pem(self) -> str:
        """Root of the release statements' signer."""
        return pem(self.vault.chain[-1]).decode()

    def ak_certificate(self, key: rsa.RSAPublicKey, vm_id: uuid.UUID) -> bytes:
        """Return the DER of an attestation key's certificate."""
        start, end = validity()
        usages = [ObjectIdentifier("2.23.133.8.3"), ObjectIdentifier("1.3.6.1.4.1.311.10.3.12")]
        builder = (
            x509.CertificateBuilder()
            .subject_name(name(f"{vm_id}.TrustedVM.Azure.windows.net"))
            .issuer_name(self.vtpm_ca.certificate.subject)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(start)
            .not_valid_after(end)
            .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        )
        return builder.sign(self.vtpm_ca.key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)

    def update_host(self) -> None:
        """Raise the chip's TCB by one microcode; its VCEK is another key then (AMD 57230). Not kept in the folder."""
        self.tcb = replace(self.tcb, microcode=self.tcb.microcode + 1)
        self.vcek = amd.vcek(self.tcb, self.chip_id, self.ask)

    def maa_self_signed(self, issuer: str, key: PrivateKey) -> Credential:
        """Return MAA's own certificate of a signing key, with a dummy of the large evidence extension."""
        evidence = x509.UnrecognizedExtension(ObjectIdentifier(_ENCLAVE_EVIDENCE), b"\x04\x82\x75\x30" + bytes(30000))
        kind = x509.UnrecognizedExtension(ObjectIdentifier(_ENCLAVE_KIND), b"\x0c\x09acisevsnp")
        return leaf(issuer, key, None, extensions=[evidence, kind])

    def maa_chained(self, key: PrivateKey) -> Credential:
        """Return the certificate of a signing key below MAA's CA."""
        return leaf("Simulated Attestation Signer", key, self.maa_ca)


def _spki_sha256(certificate: x509.Certificate) -> str:
    spki = certificate.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return hashlib.sha256(spki).hexdigest()


def _make(folder: Path) -> None:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    large, usual = (amd.KEY_BITS,) * 2, (2048,) * 6
    ark, ask, vault_root, vault_middle, vault_leaf, vtpm, vtpm_issuer, maa = rsa_keys(*large, *usual)
    tls_ca = authority("Simulated TLS Root", ec.generate_private_key(ec.SECP256R1()))
    vault_ca = authority("Simulated Key Vault Root", vault_root)
    vault_intermediate = authority("Simulated Key Vault CA", vault_middle, vault_ca)
    vtpm_root = authority("Simulated Virtual TPM Root", vtpm)
    chip = amd.make(Tcb(), ark, ask)
    made = {
        "tls-ca": tls_ca,
        "tls": leaf(HOST, ec.generate_private_key(ec.SECP256R1()), tls_ca, hosts=["localhost", HOST]),
        "vault-ca": vault_ca,
        "vault": leaf(HOST, vault_leaf, vault_intermediate, hosts=["localhost", HOST]),
        "vtpm-ca": authority("Simulated Virtual TPM CA", vtpm_issuer, vtpm_root),
        "maa-ca": authority("Simulated Attestation Root", maa),
        "ark": chip.ark,
        "ask": chip.ask,
        "vcek": chip.vcek,
    }
    for stem, credential in made.items():
        credential.save(folder / stem)
    write_private(folder / "chip-id", chip.chip_id)
    (folder / COMPLETE).touch()
