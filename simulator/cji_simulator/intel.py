"""An Intel of our own: root, PCK platform CA, the PCK of one processor, TCB signing, and what it publishes of them.

Certificates and the SGX extension: Intel, "SGX PCK Certificate and CRL Profile Specification". Statements: Intel PCS
API v4, TCB info of version 3 and enclave identity of version 2, members in the order in which Intel writes them.
"""

import datetime
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, Self

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from cji_simulator.certificates import COMPLETE, Credential, name, pem, usable

__all__ = [
    "CPU_SVN",
    "FMSPC",
    "PPID",
    "QE_SIGNER",
    "STATUSES",
    "Certifier",
    "Collateral",
    "Intel",
    "Publication",
    "Statements",
    "der",
    "raw_signature",
    "sgx_extension",
]

CPU_SVN: Final = bytes.fromhex("0404191b04ff00060000000000000000")
FMSPC: Final = bytes.fromhex("90c06f000000")  # of Azure's DCesv6
PPID: Final = b"simulated PPID.."
QE_SIGNER: Final = bytes.fromhex("dc9e2a7c6f948f17474e34a7fc43ed030f7c1563f1babddf6340c82e0e54a8c5")
PCE_SVN: Final = 13
STATUSES: Final = (
    *("UpToDate", "SWHardeningNeeded", "ConfigurationNeeded", "ConfigurationAndSWHardeningNeeded"),
    *("OutOfDate", "OutOfDateConfigurationNeeded", "Revoked"),
)
"""Statuses of a processor's TCB in Intel's statements."""
_SGX: Final = "1.2.840.113741.1.13.1"
_NAMES: Final = ("root", "ca", "pck", "signer")
_DAY: Final = datetime.timedelta(days=1)
_Members = Iterator[tuple[str, Any]]


def raw_signature(key: ec.EllipticCurvePrivateKey, message: bytes) -> bytes:
    """Return r and s of an ECDSA P-256 signature with SHA-256, 32 bytes each."""
    r, s = decode_dss_signature(key.sign(message, ec.ECDSA(hashes.SHA256())))
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def der(tag: int, body: bytes) -> bytes:
    """Return one DER element of at most 65535 bytes."""
    size = len(body).to_bytes(2, "big").lstrip(b"\0") or b"\0"
    return bytes([tag]) + (size if len(body) < 0x80 else bytes([0x80 | len(size)]) + size) + body


def _integer(value: int) -> bytes:
    return der(0x02, value.to_bytes(value.bit_length() // 8 + 1, "big"))  # a leading zero bit: not negative


def _oid(dotted: str) -> bytes:
    first, second, *rest = map(int, dotted.split("."))
    out = bytes([40 * first + second])
    for arc in rest:
        groups = [arc & 0x7F]
        while arc := arc >> 7:
            groups.append(arc & 0x7F | 0x80)
        out += bytes(reversed(groups))
    return der(0x06, out)


def _entry(suffix: str, value: bytes) -> bytes:
    return der(0x30, _oid(_SGX + suffix) + value)


def sgx_extension(
    svns: Sequence[int] = (4,) * 16, *, pce_svn: int = PCE_SVN, flags: Mapping[int, bool] | None = None
) -> x509.UnrecognizedExtension:
    """Return what a PCK certificate says of its processor: PPID, TCB of 16 parts, PCE-ID, FMSPC, kind, platform.

    `flags` are dynamic platform (1), cached keys (2) and SMT (3); all are set if none are given.
    """
    levels = b"".join(_entry(f".2.{n}", _integer(svn)) for n, svn in enumerate((*svns, pce_svn), 1))
    levels += _entry(".2.18", der(0x04, bytes(svns)))
    stated = {1: True, 2: True, 3: True} if flags is None else flags
    platform = b"".join(_entry(f".7.{n}", der(0x01, b"\xff" if on else b"\0")) for n, on in stated.items())
    members = (
        _entry(".1", der(0x04, PPID)),
        _entry(".2", der(0x30, levels)),
        _entry(".3", der(0x04, bytes(2))),
        _entry(".4", der(0x04, FMSPC)),
        _entry(".5", der(0x0A, b"\x01")),
        _entry(".6", der(0x04, b"simulated place.")),
        _entry(".7", der(0x30, platform)),
    )
    return x509.UnrecognizedExtension(x509.ObjectIdentifier(_SGX), der(0x30, b"".join(members)))


class Publication(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Intel's current statement on the processor's TCB, and its validity."""

    status: str = "UpToDate"
    advisories: tuple[str, ...] = ()
    evaluation: int = 18  # tcbEvaluationDataNumber
    days: float = 30.0  # until nextUpdate; statements of no or negative time are out of it
    pck_revoked: bool = False
    early_advisories: tuple[str, ...] = ()  # disclosed, and the standard only later: a newer level closes them


@dataclass(frozen=True, slots=True, kw_only=True)
class Statements:
    """TCB info and QE identity of one update channel, exactly as signed. Chains are PEM, leaf first."""

    tcb_info_issuer_chain: str
    tcb_info: str
    tcb_info_signature: bytes
    qe_identity_issuer_chain: str
    qe_identity: str
    qe_identity_signature: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Collateral(Statements):
    """The collateral that the service serves: lists, and the statements of the channels "standard" and "early"."""

    pck_crl_issuer_chain: str
    root_ca_crl: bytes
    pck_crl: bytes
    early: Statements


@dataclass(frozen=True, slots=True, kw_only=True)
class Certifier:
    """Issues certificates and CRLs that are valid around `now`."""

    now: datetime.datetime
    before: datetime.timedelta = _DAY
    after: datetime.timedelta = 30 * _DAY

    def certificate(
        self,
        subject: x509.Name,
        key: ec.EllipticCurvePrivateKey,
        issuer: x509.Name,
        signer: ec.EllipticCurvePrivateKey,
        *,
        ca: bool = False,
        sgx: x509.UnrecognizedExtension | None = None,
    ) -> x509.Certificate:
        """Return a certificate of `key`; `sgx` makes it one of a PCK."""
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(self.now - self.before)
            .not_valid_after(self.now + self.after)
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .add_extension(_usage(ca=ca), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
        )
        if sgx is not None:
            builder = builder.add_extension(sgx, critical=False)
        return builder.sign(signer, hashes.SHA256())

    def crl(
        self,
        issuer: x509.Name,
        key: ec.EllipticCurvePrivateKey,
        revoked: Sequence[x509.Certificate] = (),
        *,
        until: datetime.datetime | None = None,
    ) -> bytes:
        """Return the DER of a CRL, two days old at most and no older than its end allows."""
        end = until or self.now + self.after
        start = min(self.now, end) - 2 * _DAY
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(issuer)
            .last_update(start)
            .next_update(end)
            .add_extension(x509.CRLNumber(1), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
        )
        for one in revoked:
            entry = x509.RevokedCertificateBuilder().serial_number(one.serial_number).revocation_date(start - _DAY)
            builder = builder.add_revoked_certificate(entry.build())
        return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)


def _usage(*, ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not ca,
        key_cert_sign=ca,
        crl_sign=ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def ec_key(credential: Credential) -> ec.EllipticCurvePrivateKey:
    """Return the P-256 key that all of these credentials have."""
    if not isinstance(credential.key, ec.EllipticCurvePrivateKey):
        raise TypeError("keys of this Intel are P-256 keys")
    return credential.key


@dataclass(slots=True, kw_only=True)
class Intel:
    """Credentials by what they do, and what is published. The quoting enclave's key is new in each process."""

    root: Credential
    ca: Credential  # certifies PCKs
    pck: Credential  # of the one processor
    signer: Credential  # signs TCB info and QE identity
    ak: ec.EllipticCurvePrivateKey = field(default_factory=_key)  # of the quoting enclave
    publication: Publication = field(default_factory=Publication)

    @classmethod
    def make(cls, certifier: Certifier) -> Self:
        """Make a new Intel with new keys."""
        made: dict[str, Credential] = {}
        for stem, common, issuer in (
            ("root", "Intel SGX Root CA", "root"),
            ("ca", "Intel SGX PCK Platform CA", "root"),
            ("pck", "Intel SGX PCK Certificate", "ca"),
            ("signer", "Intel SGX TCB Signing", "root"),
        ):
            key, above = _key(), made.get(issuer)
            subject = name(common)
            certificate = certifier.certificate(
                subject,
                key,
                above.certificate.subject if above else subject,
                ec_key(above) if above else key,
                ca=stem in {"root", "ca"},
                sgx=sgx_extension() if stem == "pck" else None,
            )
            made[stem] = Credential(key=key, certificate=certificate, above=above.chain if above else ())
        return cls._of(made)

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Load the Intel of `folder`, or make it there; replace it if it is about to end."""
        if not usable(folder):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            made = cls.make(Certifier(now=datetime.datetime.now(datetime.UTC).replace(microsecond=0)))
            for stem in _NAMES:
                getattr(made, stem).save(folder / stem)
            (folder / COMPLETE).touch()
        return cls._of({stem: Credential.load(folder / stem) for stem in _NAMES})

    @classmethod
    def _of(cls, held: dict[str, Credential]) -> Self:
        return cls(root=held["root"], ca=held["ca"], pck=held["pck"], signer=held["signer"])

    @property
    def spki_sha256(self) -> str:
        """Hex SHA-256 of the root's SubjectPublicKeyInfo."""
        spki = self.root.key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return hashlib.sha256(spki).hexdigest()

    @property
    def pck_chain(self) -> bytes:
        """PEM of PCK, platform CA and root, as a quote carries it."""
        return b"".join(pem(one) for one in self.pck.chain)

    def collateral(self, now: datetime.datetime, *, fmspc: bytes = FMSPC) -> Collateral:
        """Return what is published at `now`, signed now."""
        said, certifier = self.publication, Certifier(now=now)
        until = now + datetime.timedelta(days=said.days)
        revoked = (self.pck.certificate,) if said.pck_revoked else ()
        standard = self._statements(_tcb_info(said, now, until, fmspc), _qe_identity(said, now, until))
        later = msgspec.structs.replace(said, evaluation=said.evaluation + bool(said.early_advisories))
        early = self._statements(_early_tcb_info(later, now, until, fmspc), _qe_identity(later, now, until))
        return Collateral(
            **asdict(standard),
            early=early,
            pck_crl_issuer_chain="".join(pem(one).decode() for one in self.ca.chain),
            root_ca_crl=certifier.crl(self.root.certificate.subject, ec_key(self.root), until=until),
            pck_crl=certifier.crl(self.ca.certificate.subject, ec_key(self.ca), revoked, until=until),
        )

    def _statements(self, tcb_info: _Members, qe_identity: _Members) -> Statements:
        info, identity = (json.dumps(dict(one), separators=(",", ":")) for one in (tcb_info, qe_identity))
        signing = "".join(pem(one).decode() for one in self.signer.chain)
        return Statements(
            tcb_info_issuer_chain=signing,
            tcb_info=info,
            tcb_info_signature=raw_signature(ec_key(self.signer), info.encode()),
            qe_identity_issuer_chain=signing,
            qe_identity=identity,
            qe_identity_signature=raw_signature(ec_key(self.signer), identity.encode()),
        )


def _times(said: Publication, now: datetime.datetime, until: datetime.datetime) -> _Members:
    stamp = "%Y-%m-%dT%H:%M:%SZ"
    yield "issueDate", (min(now, until) - _DAY).strftime(stamp)
    yield "nextUpdate", until.strftime(stamp)


def _tcb_info(said: Publication, now: datetime.datetime, until: datetime.datetime, fmspc: bytes) -> _Members:
    module = {"mrsigner": "00" * 48, "attributes": "00" * 8, "attributesMask": "FF" * 8}
    level: dict[str, Any] = {"tcbDate": "2024-11-13T00:00:00Z", "tcbStatus": said.status}
    if said.advisories:
        level["advisoryIDs"] = list(said.advisories)
    components = {
        "sgxtcbcomponents": [{"svn": 4}] * 16,
        "pcesvn": PCE_SVN,
        "tdxtcbcomponents": [{"svn": svn} for svn in (5, 0, 4, *[0] * 13)],
    }
    newest = {"tcb": {"isvsvn": 6}, "tcbDate": "2024-11-13T00:00:00Z", "tcbStatus": "UpToDate"}
    yield "id", "TDX"
    yield "version", 3
    yield from _times(said, now, until)
    yield "fmspc", fmspc.hex()
    yield "pceId", "0000"
    yield "tcbType", 0
    yield "tcbEvaluationDataNumber", said.evaluation
    yield "tdxModule", module
    yield "tdxModuleIdentities", [{"id": "TDX_01", **module, "tcbLevels": [newest]}]
    yield "tcbLevels", [{"tcb": components, **level}]


def _early_tcb_info(said: Publication, now: datetime.datetime, until: datetime.datetime, fmspc: bytes) -> _Members:
    """The same with a newer level before it, if something was disclosed that this processor does not have yet."""
    found = dict(_tcb_info(said, now, until, fmspc))
    if said.early_advisories:
        (level,) = found["tcbLevels"]
        tcb = level["tcb"]
        sgx = [{"svn": 5}, *tcb["sgxtcbcomponents"][1:]]
        tdx = [*tcb["tdxtcbcomponents"][:2], {"svn": 5}, *tcb["tdxtcbcomponents"][3:]]
        newest = {
            "tcb": {**tcb, "sgxtcbcomponents": sgx, "tdxtcbcomponents": tdx},
            "tcbDate": "2026-02-11T00:00:00Z",
            "tcbStatus": "UpToDate",
        }
        ids = [*level.get("advisoryIDs", ()), *said.early_advisories]
        found["tcbLevels"] = [newest, {**level, "tcbStatus": "OutOfDate", "advisoryIDs": ids}]
    yield from found.items()


def _qe_identity(said: Publication, now: datetime.datetime, until: datetime.datetime) -> _Members:
    yield "id", "TD_QE"
    yield "version", 2
    yield from _times(said, now, until)
    yield "tcbEvaluationDataNumber", said.evaluation
    yield "miscselect", "00000000"
    yield "miscselectMask", "FFFFFFFF"
    yield "attributes", "11000000000000000000000000000000"
    yield "attributesMask", "FBFFFFFFFFFFFFFF0000000000000000"
    yield "mrsigner", QE_SIGNER.hex().upper()
    yield "isvprodid", 2
    yield "tcbLevels", [{"tcb": {"isvsvn": 4}, "tcbDate": "2024-11-13T00:00:00Z", "tcbStatus": "UpToDate"}]
