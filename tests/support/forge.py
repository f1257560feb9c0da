"""A machine made of software for the attestation tests: every part of its evidence can be replaced and signed anew.

Its hardware chain is the simulator's; its TPM is the few structures below, so that a test can build what no TPM would.
"""

import functools
import hashlib
import struct
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding

from cji_attestation import AZURE_US, Trust
from cji_attestation.appraisal import ReferenceValues, Verdict, appraise
from cji_attestation.evidence import Evidence, maa_nonce, parse_hcl, qualifying_data
from cji_attestation.evidence.binding import report_user_data
from cji_attestation.evidence.tpm_structures import PCR_SELECTION, pcr_digest, policy_pcr_digest
from cji_core.certs import spki_sha256
from cji_core.strict import b64url
from cji_simulator import amd, hcl, jws
from cji_simulator.certificates import Credential, authority, leaf, name, pem, rsa_keys
from cji_simulator.encoding import b64, rsa_jwk
from cji_simulator.reference import reference_values
from cji_simulator.roots import Roots
from cji_simulator.snp import ID_KEY_DIGEST, Report, Tcb
from tests.support.rsa_keys import rsa_key
from tests.support.run_folder import made_once

MAGIC = 0xFF544347
PSS = padding.PSS(padding.MGF1(hashes.SHA384()), 48)
ENDORSEMENT = (0x4000000B).to_bytes(4, "big")
AMD = "1.3.6.1.4.1.3704.1."
ISSUER = "https://sharedeus.eus.attest.azure.net"
RECEIPT_KEY, NONCE = b"r" * 32, b"n" * 32
QUALIFYING = qualifying_data(RECEIPT_KEY, NONCE)
VM = uuid.UUID("deaa4f4c-fbf3-439b-8dee-4875d5140983")
POLICY_HASH = "wm9mHlvTU82e8UqoOy1Yj1FBRSNkfe99-69IYDq9eWs"


@functools.cache
def vtpm_ca() -> Credential:
    """Who issues certificates of AKs to the machines of these tests, below a root."""
    root = authority("Test vTPM Root", rsa_key(104))
    return authority("Test vTPM CA", rsa_key(105), root)


def ak_chain_of(key: rsa.RSAPrivateKey, issuer: Credential, *, purpose: str = "2.23.133.8.3") -> bytes:
    """The certificate of an AK, and behind it those of its issuers up to the root."""
    usage = x509.ExtendedKeyUsage([x509.ObjectIdentifier(purpose)])
    made = leaf("ak", key, issuer, extensions=[usage])
    return b"".join(one.public_bytes(Encoding.DER) for one in made.chain)


def decided(**values: Any) -> ReferenceValues:
    """Values of an operator who trusts the machine's firmware and vTPM, and accepted every advisory that is open."""
    pins = (spki_sha256(machine().maa.public_key()),)
    return reference_values(spki_sha256(vtpm_ca().chain[-1].public_key()), pins, **values)


def sized(data: bytes) -> bytes:
    return struct.pack(">H", len(data)) + data


def attest_structure(
    body: bytes,
    *,
    kind: int,
    extra: bytes,
    magic: int = MAGIC,
    ak_public: bytes | None = None,
    clock: tuple[int, int, int] = (481, 3, 1),
) -> bytes:
    """`clock` is (milliseconds, resets, restarts)."""
    name = key_name(machine().ak_public if ak_public is None else ak_public)
    signer = sized(b"\x00\x0b" + hashlib.sha256(ENDORSEMENT + name).digest())
    return struct.pack(">IH", magic, kind) + signer + sized(extra) + struct.pack(">QIIBQ", *clock, 1, 7) + body


def quote_structure(pcrs: tuple[bytes, ...], *, extra: bytes, selection: bytes = PCR_SELECTION, **kw: Any) -> bytes:
    return attest_structure(selection + sized(pcr_digest(pcrs)), kind=kw.pop("kind", 0x8018), extra=extra, **kw)


def rsa_public(key: rsa.RSAPublicKey, *, attributes: int, policy: bytes, scheme: bytes = b"\x00\x10") -> bytes:
    numbers = key.public_numbers()
    head = struct.pack(">HHI", 1, 0x0B, attributes) + sized(policy) + b"\x00\x10" + scheme
    exponent = 0 if numbers.e == 65537 else numbers.e
    return sized(
        head + struct.pack(">HI", key.key_size, exponent) + sized(numbers.n.to_bytes(key.key_size // 8, "big"))
    )


def key_name(public: bytes) -> bytes:
    return b"\x00\x0b" + hashlib.sha256(public[2:]).digest()


def sign(key: rsa.RSAPrivateKey, message: bytes) -> bytes:
    return key.sign(message, padding.PKCS1v15(), hashes.SHA256())


@dataclass(kw_only=True)
class Machine:
    """Keys and chain of one machine. `evidence(...)` builds a bundle; every argument replaces one true part."""

    chip: amd.AmdRoots = field(default_factory=lambda: amd.make(Tcb(), *rsa_keys(*(amd.KEY_BITS,) * 2)))
    ak: rsa.RSAPrivateKey = field(default_factory=lambda: rsa.generate_private_key(65537, 2048))
    ek: rsa.RSAPrivateKey = field(default_factory=lambda: rsa.generate_private_key(65537, 2048))
    ephemeral: rsa.RSAPrivateKey = field(default_factory=lambda: rsa.generate_private_key(65537, 2048))
    maa: rsa.RSAPrivateKey = field(default_factory=lambda: rsa.generate_private_key(65537, 2048))
    now: datetime = field(default_factory=lambda: datetime.now(UTC).replace(microsecond=0))
    pcrs: tuple[bytes, ...] = tuple(hashlib.sha256(bytes([pcr])).digest() for pcr in range(8))

    def __post_init__(self) -> None:
        self.ak_cert, self.other_cert = (ak_chain_of(key, vtpm_ca()) for key in (self.ak, self.ek))

    @property
    def trust(self) -> Trust:
        ark = self.chip.ark.certificate.public_key()
        return msgspec.structs.replace(AZURE_US, name="test", amd_roots=(spki_sha256(ark),))

    @property
    def ak_public(self) -> bytes:
        """As Azure's AK: RSASSA with SHA-256, restricted, without a policy."""
        return rsa_public(self.ak.public_key(), attributes=0x50472, policy=b"", scheme=b"\x00\x14\x00\x0b")

    @property
    def certs(self) -> bytes:
        return b"".join(pem(one) for one in self.chip.vcek.chain)

    def claims(self, user_data: bytes | None = None) -> bytes:
        given = report_user_data(QUALIFYING) if user_data is None else user_data
        return hcl.RuntimeClaims(ak=self.ak.public_key(), ek=self.ek.public_key(), vm_id=VM).encode(given)

    def report(self, claims: bytes, **fields: Any) -> bytes:
        given = {
            "report_data": hashlib.sha256(claims).digest() + bytes(32),
            "chip_id": self.chip.chip_id,
            "measurement": hashlib.sha384(b"firmware").digest(),
            "id_key_digest": ID_KEY_DIGEST,
            "report_id": b"\x01" * 32,
        }
        return Report(**(given | fields)).sign(self.chip.vcek.key)  # type: ignore[arg-type]

    def evidence(self, *, claims: bytes | None = None, report: bytes | None = None, **fields: Any) -> Evidence:
        claims = self.claims() if claims is None else claims
        raw = hcl.report(self.report(claims) if report is None else report, claims)[: 1236 + len(claims)]
        pcrs = fields.get("pcrs", self.pcrs)
        quote = quote_structure(pcrs, extra=QUALIFYING)
        public = rsa_public(self.ephemeral.public_key(), attributes=0x20432, policy=policy_pcr_digest(pcrs))
        public = fields.get("ephemeral", public)
        certify = attest_structure(sized(key_name(public)) + sized(b""), kind=0x8017, extra=b"")
        quote, certify = fields.get("quote", quote), fields.get("certify", certify)
        values: dict[str, Any] = {
            "tee": "snp",
            "hcl_report": raw,
            "ak_public": self.ak_public,
            "ak_cert": self.ak_cert,
            "certs": self.certs,
            "td_quote": b"",
            "quote": quote,
            "quote_signature": sign(self.ak, quote),
            "pcrs": pcrs,
            "ephemeral": public,
            "certify": certify,
            "certify_signature": sign(self.ak, certify),
        }
        return Evidence(**(values | fields))

    def appraise(self, evidence: Evidence, **kw: Any) -> Verdict:
        given: dict[str, Any] = {
            "trust": self.trust,
            "reference": decided(),
            "expected_qualifying_data": QUALIFYING,
            "start": None,
            "now": self.now,
        }
        return appraise(evidence, **(given | kw))

    def token_claims(self, evidence: Evidence) -> dict[str, Any]:
        """The claims that the service gives this evidence, after a real token of January 2025."""
        report = parse_hcl(evidence.hcl_report)
        now = int(self.now.timestamp())
        off = ("bootdebug", "kerneldebug", "hypervisordebug", "testsigning", "flightsigning")
        return {
            "exp": now + 28800,
            "iat": now,
            "nbf": now,
            "iss": ISSUER,
            "jti": "21a0e717ab00342230b21bb9ff58e7058a66f46cfe1b91b5a12ac513162d49cf",
            "secureboot": True,
            "x-ms-attestation-type": "azurevm",
            "x-ms-azurevm-attested-pcrs": list(range(8)),
            "x-ms-azurevm-attested-pcr-values": {f"pcr{n}": b64(v) for n, v in enumerate(evidence.pcrs)},
            **{f"x-ms-azurevm-{name}-enabled": False for name in off},
            "x-ms-isolation-tee": {
                "x-ms-attestation-type": "sevsnpvm",
                "x-ms-compliance-status": "azure-compliant-cvm",
                "x-ms-runtime": msgspec.json.decode(report.claims_bytes),
                **{f"x-ms-sevsnpvm-{name}": value for name, value in _snp_claims(report.hardware).items()},
            },
            "x-ms-policy-hash": POLICY_HASH,
            "x-ms-runtime": {
                "client-payload": {"nonce": b64(maa_nonce(QUALIFYING).encode())},
                "keys": [
                    {
                        "kid": "TpmEphemeralEncryptionKey",
                        "key_ops": ["encrypt"],
                        **rsa_jwk(self.ephemeral.public_key()),
                    }
                ],
            },
            "x-ms-ver": "1.0",
        }

    def token(self, claims: dict[str, Any], *, key: rsa.RSAPrivateKey | None = None, **header: Any) -> str:
        return jws.sign({"kid": "k1", "typ": "JWT", **header}, claims, key or self.maa)

    def jwks(self) -> bytes:
        return msgspec.json.encode({"keys": [{"kid": "k1", "use": "sig", **rsa_jwk(self.maa.public_key())}]})


def _snp_claims(report: bytes) -> dict[str, Any]:
    """What tokens of 2026 say of a Genoa report, without the prefix."""
    return {
        "authorkeydigest": report[0x110:0x140].hex(),
        "bootloader-svn": 10,
        "chip-family": "Genoa",
        "chipid": report[0x1A0:0x1E0].hex(),
        "ciphertext-hiding-dram-enabled": False,
        "cxl-allowed": False,
        "familyId": "01232000000000000000000000000000",
        "guestsvn": 65549,
        "hostdata": "00" * 32,
        "idkeydigest": report[0xE0:0x110].hex(),
        "imageId": "02000000000000000000000000000000",
        "is-debuggable": False,
        "launchmeasurement": report[0x90:0xC0].hex(),
        "mem-aes256-xts-required": False,
        "microcode-svn": 88,
        "migration-allowed": False,
        "page-swap-disabled": False,
        "rapl-disabled": False,
        "reportdata": report[0x50:0x90].hex(),
        "reportid": report[0x140:0x160].hex(),
        "singlesocket": False,
        "smt-allowed": True,
        "snpfw-svn": 27,
        "tee-svn": 0,
        "vmpl": 0,
    }


def compact(header: bytes, payload: bytes, signature: bytes) -> str:
    return ".".join(map(b64url, (header, payload, signature)))


@functools.cache
def machine() -> Machine:
    """One machine for the whole run: its RSA-4096 keys take a second or more."""
    made = Roots.open(made_once("machine", Roots.open))
    chip = amd.AmdRoots(ark=made.ark, ask=made.ask, vcek=made.vcek, chip_id=made.chip_id)
    ak, ek, ephemeral, maa = map(rsa_key, range(100, 104))
    return Machine(chip=chip, ak=ak, ek=ek, ephemeral=ephemeral, maa=maa)


def forge_vcek(
    *,
    signer: rsa.RSAPrivateKey | None = None,
    issuer: x509.Name | None = None,
    product: str = "Genoa",
    values: dict[str, bytes | None] | None = None,
    key: CertificatePublicKeyTypes | None = None,
) -> bytes:
    """PEM of a VCEK like the machine's, with parts replaced (None leaves an extension out), and of ASK and ARK."""
    chip = machine().chip
    true = chip.vcek.certificate
    found: dict[str, bytes | None] = {
        one.oid.dotted_string.removeprefix(AMD): one.value.value
        for one in true.extensions
        if isinstance(one.value, x509.UnrecognizedExtension)
    }
    found["2"] = bytes([0x16, len(product)]) + product.encode()
    builder = (
        x509.CertificateBuilder()
        .subject_name(true.subject)
        .issuer_name(issuer or true.issuer)
        .public_key(key or true.public_key())
        .serial_number(1)
        .not_valid_before(true.not_valid_before_utc)
        .not_valid_after(true.not_valid_after_utc)
    )
    for suffix, value in (found | (values or {})).items():
        if value is not None:
            oid = x509.ObjectIdentifier(AMD + suffix)
            builder = builder.add_extension(x509.UnrecognizedExtension(oid, value), critical=False)
    vcek = builder.sign(signer or chip.ask.rsa(), hashes.SHA384(), rsa_padding=PSS)
    return b"".join(pem(one) for one in (vcek, *chip.vcek.above))


def patched(raw: bytes, at: int, value: bytes, *, chip: amd.AmdRoots | None = None) -> bytes:
    """A report whose bytes are changed and that the chip signs again."""
    out = bytearray(raw)
    out[at : at + len(value)] = value
    key = (machine().chip if chip is None else chip).vcek.key
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    r, s = decode_dss_signature(key.sign(bytes(out[:0x2A0]), ec.ECDSA(hashes.SHA384())))
    out[0x2A0:0x2E8], out[0x2E8:0x330] = r.to_bytes(72, "little"), s.to_bytes(72, "little")
    return bytes(out)


def patched_evidence(at: int, value: bytes) -> Evidence:
    m = machine()
    return m.evidence(report=patched(m.report(m.claims()), at, value))


CPUIDS = {"Milan": b"\x19\x01\x01", "Genoa": b"\x19\x11\x01", "Turin": b"\x1a\x02\x01"}


@functools.cache
def machine_of(product: str, *, tcb: bytes = bytes([4, 0, 0, 0, 0, 0, 24, 219])) -> Machine:
    """`machine()` with a chip of another product, at this TCB (eight bytes as in its reports)."""
    m, turin = machine(), product == "Turin"
    at = {"3.9": 0, "3.1": 1, "3.2": 2, "3.3": 3, "3.8": 7} if turin else {"3.1": 0, "3.2": 1, "3.3": 6, "3.8": 7}
    chip_id = bytes(range(1, 9)).ljust(64, b"\0") if turin else bytes(range(64))
    values = {
        suffix: b"\x02\x02\x00" + tcb[n : n + 1] if tcb[n] > 127 else b"\x02\x01" + tcb[n : n + 1]
        for suffix, n in at.items()
    }
    values |= {
        "1": bytes([2, 1, turin]),
        "2": bytes([0x16, len(product)]) + product.encode(),
        "3.5": b"\x02\x01\x00",
        "4": chip_id[:8] if turin else chip_id,
    }
    ark = _signed_by_rsa(f"ARK-{product}", None)
    ask = _signed_by_rsa(f"SEV-{product}", ark)
    key = ec.generate_private_key(ec.SECP384R1())
    vcek = forged("SEV-VCEK", key.public_key(), ask, values)
    chain = Credential(key=key, certificate=vcek.sign(ask.rsa(), hashes.SHA384(), rsa_padding=PSS), above=ask.chain)
    chip = amd.AmdRoots(ark=ark, ask=ask, vcek=chain, chip_id=chip_id)
    return Machine(chip=chip, ak=m.ak, ek=m.ek, ephemeral=m.ephemeral, maa=m.maa, now=m.now)


def evidence_of(m: Machine, product: str, *, tcb: bytes) -> Evidence:
    """Sound evidence of such a machine."""
    raw = m.report(m.claims())
    for at, value in ((0x38, tcb), (0x180, tcb), (0x188, CPUIDS[product]), (0x1E0, tcb), (0x1F0, tcb)):
        raw = patched(raw, at, value, chip=m.chip)
    return m.evidence(report=raw)


def forged(
    common: str,
    public: CertificatePublicKeyTypes,
    issuer: Credential | None,
    values: dict[str, bytes],
    *,
    authority: bool | None = None,
) -> x509.CertificateBuilder:
    """A certificate with AMD's extensions by suffix, to be signed; ASK and ARK are authorities if nothing is said."""
    true = machine().chip.vcek.certificate
    builder = (
        x509.CertificateBuilder()
        .subject_name(name(common))
        .issuer_name(issuer.certificate.subject if issuer else name(common))
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(true.not_valid_before_utc)
        .not_valid_after(true.not_valid_after_utc)
    )
    if authority or (authority is None and common != "SEV-VCEK"):
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    for suffix, value in values.items():
        extension = x509.UnrecognizedExtension(x509.ObjectIdentifier(AMD + suffix), value)
        builder = builder.add_extension(extension, critical=False)
    return builder


def _signed_by_rsa(common: str, issuer: Credential | None) -> Credential:
    key = rsa.generate_private_key(65537, 2048)
    builder = forged(common, key.public_key(), issuer, {})
    certificate = builder.sign(issuer.rsa() if issuer else key, hashes.SHA384(), rsa_padding=PSS)
    return Credential(key=key, certificate=certificate, above=issuer.chain if issuer else ())


def crl(
    *revoked: int,
    issuer: Credential | None = None,
    signer: rsa.RSAPrivateKey | None = None,
    updated: timedelta = timedelta(days=-1),
    until: timedelta = timedelta(days=1),
    extension: x509.ExtensionType | None = None,
) -> bytes:
    """AMD's CRL of the machine's product, as its ARK signs it, or with parts replaced."""
    ark = machine().chip.ark
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name((issuer or ark).certificate.subject)
        .last_update(machine().now + updated)
        .next_update(machine().now + until)
    )
    for serial in revoked:
        entry = (
            x509.RevokedCertificateBuilder()
            .serial_number(serial)
            .revocation_date(machine().now - timedelta(days=1))
            .build()
        )
        builder = builder.add_revoked_certificate(entry)
    if extension is not None:
        builder = builder.add_extension(extension, critical=True)
    signed = builder.sign(signer or ark.rsa(), hashes.SHA384(), rsa_padding=PSS)
    return signed.public_bytes(Encoding.DER)
