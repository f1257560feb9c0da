"""An Intel of our own: root, PCK, quoting enclave, collateral; so each part can be wrong and signed."""

import functools
import hashlib
import json
import struct
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

from attestation import AZURE_US, Trust
from attestation.certs import spki_sha256
from attestation.evidence import Evidence, TdCollateral
from tests.att_forge import Machine, machine

SGX = "1.2.840.113741.1.13.1"
FMSPC = bytes.fromhex("90c06f000000")
CPU_SVN = bytes.fromhex("0404191b04ff00060000000000000000")
QE_SIGNER = hashlib.sha256(b"quoting enclave").digest()
SEPT_VE_DISABLE = 1 << 28


def der(tag: int, body: bytes) -> bytes:
    length = bytes([len(body)]) if len(body) < 128 else b"\x82" + len(body).to_bytes(2, "big")
    return bytes([tag]) + length + body


def entry(suffix: str, value: bytes) -> bytes:
    oid = x509.UnrecognizedExtension(x509.ObjectIdentifier(f"{SGX}{suffix}"), b"").oid
    return der(0x30, _oid(oid.dotted_string) + value)


def _oid(dotted: str) -> bytes:
    first, second, *rest = map(int, dotted.split("."))
    out = bytes([40 * first + second])
    for arc in rest:
        groups = [arc & 0x7F]
        while arc := arc >> 7:
            groups.append(arc & 0x7F | 0x80)
        out += bytes(reversed(groups))
    return der(6, out)


def sgx_extension() -> bytes:
    tcb = b"".join(entry(f".2.{n}", der(2, bytes([4]))) for n in range(1, 17))
    tcb += entry(".2.17", der(2, bytes([13]))) + entry(".2.18", der(4, bytes([4] * 16)))
    flags = b"".join(entry(f".7.{n}", der(1, b"\xff")) for n in (1, 2, 3))
    return der(
        0x30,
        entry(".1", der(4, b"p" * 16))
        + entry(".2", der(0x30, tcb))
        + entry(".3", der(4, bytes(2)))
        + entry(".4", der(4, FMSPC))
        + entry(".5", der(10, b"\x01"))
        + entry(".6", der(4, b"i" * 16))
        + entry(".7", der(0x30, flags)),
    )


def raw_signature(key: ec.EllipticCurvePrivateKey, message: bytes) -> bytes:
    r, s = decode_dss_signature(key.sign(message, ec.ECDSA(hashes.SHA256())))
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def point(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)[1:]


def _key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def common_name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def td_report(report_data: bytes, *, attributes: int = SEPT_VE_DISABLE, **fields: bytes) -> bytes:
    """A TDREPORT whose hashes hold; `fields` are mrtd, seam_signer, seam_attributes, tcb_svn."""
    out = bytearray(1024)
    out[0], out[16:32], out[128:192], out[224:256] = 0x81, CPU_SVN, report_data, b"m" * 32
    svn = fields.get("tcb_svn", bytes([13, 1, 4]).ljust(16, b"\0"))
    out[256:264], out[264:280], out[280:328] = bytes.fromhex("ff01030000000000"), svn, b"s" * 48
    out[328:376], out[376:384] = fields.get("seam_signer", bytes(48)), fields.get("seam_attributes", bytes(8))
    out[384:400] = svn
    out[512:520], out[520:528] = attributes.to_bytes(8, "little"), bytes.fromhex("e718060000000000")
    out[528:576] = fields.get("mrtd", b"t" * 48)
    out[32:80], out[80:128] = hashlib.sha384(out[256:495]).digest(), hashlib.sha384(out[512:]).digest()
    return bytes(out)


def body_of(report: bytes, size: int = 584) -> bytes:
    return (report[264:384] + report[512:912] + report[128:192] + report[384:400] + report[912:960])[:size]


@dataclass(kw_only=True)
class Intel:
    """Makes quotes and collateral. Times are around `now`."""

    now: datetime = field(default_factory=lambda: datetime.now(UTC).replace(microsecond=0))
    root_key: ec.EllipticCurvePrivateKey = field(default_factory=_key)
    ca_key: ec.EllipticCurvePrivateKey = field(default_factory=_key)
    pck_key: ec.EllipticCurvePrivateKey = field(default_factory=_key)
    tcb_key: ec.EllipticCurvePrivateKey = field(default_factory=_key)
    ak: ec.EllipticCurvePrivateKey = field(default_factory=_key)

    def __post_init__(self) -> None:
        root, ca = common_name("Intel SGX Root CA"), common_name("Intel SGX PCK Platform CA")
        self.root = self.certificate(root, self.root_key, root, self.root_key, ca=True)
        self.ca = self.certificate(ca, self.ca_key, root, self.root_key, ca=True)
        self.pck = self.certificate(common_name("Intel SGX PCK Certificate"), self.pck_key, ca, self.ca_key, sgx=True)
        self.tcb_signer = self.certificate(common_name("Intel SGX TCB Signing"), self.tcb_key, root, self.root_key)

    @property
    def trust(self) -> Trust:
        return msgspec.structs.replace(
            AZURE_US, name="test", intel_roots=(spki_sha256(self.root_key.public_key()),), amd_roots=()
        )

    def certificate(
        self,
        subject: x509.Name,
        key: ec.EllipticCurvePrivateKey,
        issuer: x509.Name,
        signer: ec.EllipticCurvePrivateKey,
        *,
        ca: bool = False,
        sgx: bool = False,
    ) -> x509.Certificate:
        usage = dict.fromkeys(
            ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "encipher_only"), False
        )
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(self.now - timedelta(days=30))
            .not_valid_after(self.now + timedelta(days=300))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .add_extension(
                x509.KeyUsage(**usage, digital_signature=not ca, key_cert_sign=ca, crl_sign=ca, decipher_only=False),
                critical=True,
            )
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
        )
        if sgx:
            extension = x509.UnrecognizedExtension(x509.ObjectIdentifier(SGX), sgx_extension())
            builder = builder.add_extension(extension, critical=False)
        return builder.sign(signer, hashes.SHA256())

    def crl(self, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, *revoked: x509.Certificate, **kw: Any) -> bytes:
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(issuer)
            .last_update(self.now - timedelta(days=2))
            .next_update(kw.get("until", self.now + timedelta(days=20)))
            .add_extension(x509.CRLNumber(1), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
        )
        for one in revoked:
            entry_ = x509.RevokedCertificateBuilder().serial_number(one.serial_number)
            builder = builder.add_revoked_certificate(entry_.revocation_date(self.now - timedelta(days=3)).build())
        return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)

    def quote(self, report: bytes, *, version: int = 4, qe_cpu_svn: bytes = CPU_SVN, kind: int = 3) -> bytes:
        head = struct.pack("<HHI", version, 2, 0x81) + bytes(4) + bytes.fromhex("939a7233f79c4ca9940a0db3957f0607")
        head = head.ljust(48, b"\0")
        body = body_of(report)
        if version == 5:
            body = body_of(report, {2: 584, 3: 648}[kind])
            head += struct.pack("<HI", kind, len(body))
        auth = b"a" * 32
        qe = bytearray(384)
        qe[:16], qe[48:64] = qe_cpu_svn, bytes.fromhex("1500000000000000e700000000000000")
        qe[128:160], qe[256:260] = QE_SIGNER, struct.pack("<HH", 2, 8)
        qe[320:352] = hashlib.sha256(point(self.ak) + auth).digest()
        chain = b"".join(one.public_bytes(Encoding.PEM) for one in (self.pck, self.ca, self.root))
        certified = bytes(qe) + raw_signature(self.pck_key, bytes(qe)) + struct.pack("<H", len(auth)) + auth
        certified += struct.pack("<HI", 5, len(chain)) + chain
        signature = raw_signature(self.ak, head + body) + point(self.ak)
        signature += struct.pack("<HI", 6, len(certified)) + certified
        return head + body + struct.pack("<I", len(signature)) + signature

    def _statement(
        self, content: dict[str, Any], *, key: ec.EllipticCurvePrivateKey | None = None
    ) -> tuple[str, bytes]:
        text = json.dumps(content, separators=(",", ":"))
        return text, raw_signature(key or self.tcb_key, text.encode())

    def collateral(self, *, status: str = "UpToDate", advisories: tuple[str, ...] = (), **kw: Any) -> TdCollateral:
        stamp = "%Y-%m-%dT%H:%M:%SZ"
        times = {
            "issueDate": (self.now - timedelta(days=1)).strftime(stamp),
            "nextUpdate": kw.get("until", self.now + timedelta(days=20)).strftime(stamp),
            "tcbEvaluationDataNumber": 18,
        }
        level = {"tcbDate": "2024-11-13T00:00:00Z", "tcbStatus": status, "advisoryIDs": list(advisories)}
        module = {"mrsigner": "00" * 48, "attributes": "00" * 8, "attributesMask": "FF" * 8}
        components = {
            "sgxtcbcomponents": [{"svn": 4}] * 16,
            "pcesvn": 13,
            "tdxtcbcomponents": [{"svn": n} for n in (5, 0, 4, *[0] * 13)],
        }
        info = {
            "id": "TDX",
            "version": 3,
            **times,
            "fmspc": kw.get("fmspc", FMSPC).hex(),
            "pceId": "0000",
            "tcbType": 0,
            "tdxModule": module,
            "tdxModuleIdentities": [
                {"id": "TDX_01", **module, "tcbLevels": [{"tcb": {"isvsvn": 6}, **level, "tcbStatus": "UpToDate"}]}
            ],
            "tcbLevels": [{"tcb": components, **level}],
        }
        qe = {
            "id": "TD_QE",
            "version": 2,
            **times,
            "miscselect": "00000000",
            "miscselectMask": "FFFFFFFF",
            "attributes": "11000000000000000000000000000000",
            "attributesMask": "FBFFFFFFFFFFFFFF0000000000000000",
            "mrsigner": QE_SIGNER.hex().upper(),
            "isvprodid": 2,
            "tcbLevels": [{"tcb": {"isvsvn": 4}, "tcbDate": "2024-11-13T00:00:00Z", "tcbStatus": "UpToDate"}],
        }
        (info_text, info_signature), (qe_text, qe_signature) = self._statement(info), self._statement(qe)
        pem = [one.public_bytes(Encoding.PEM).decode() for one in (self.ca, self.tcb_signer, self.root)]
        values: dict[str, Any] = {
            "pck_crl_issuer_chain": pem[0] + pem[2],
            "root_ca_crl": self.crl(self.root.subject, self.root_key, *kw.get("root_revokes", ())),
            "pck_crl": self.crl(self.ca.subject, self.ca_key, *kw.get("ca_revokes", ())),
            "tcb_info_issuer_chain": pem[1] + pem[2],
            "tcb_info": info_text,
            "tcb_info_signature": info_signature,
            "qe_identity_issuer_chain": pem[1] + pem[2],
            "qe_identity": qe_text,
            "qe_identity_signature": qe_signature,
        }
        return TdCollateral(**(values | kw.get("replaced", {})))

    def evidence(self, m: Machine, *, report: dict[str, Any] | None = None, **fields: Any) -> Evidence:
        """A bundle of the machine `m` as if it were a TDX one; `fields` replace members of the bundle."""
        claims = m.claims()
        made = td_report(hashlib.sha256(claims).digest() + bytes(32), **(report or {}))
        raw = bytearray(m.evidence(claims=claims).hcl_report)
        raw[4], raw[1224] = 2, 4
        raw[32 : 32 + 1184] = made + bytes(160)
        values: dict[str, Any] = {
            "version": 2,
            "tee": "tdx",
            "hcl_report": bytes(raw),
            "certs": b"",
            "td_quote": self.quote(made),
            "collateral": self.collateral(),
        }
        return m.evidence(**(values | fields))


@functools.cache
def intel() -> Intel:
    """One Intel for the whole session, at the time of `att_forge.machine()`."""
    return Intel(now=machine().now)
