"""The simulator's Intel around the time of `att_forge.machine()`: each part can be replaced, made wrong and signed."""

import dataclasses
import functools
import hashlib
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from cji_attestation import AZURE_US, Trust
from cji_attestation.evidence import Evidence, TdCollateral, TdStatements
from cji_core.certs import spki_sha256
from cji_simulator import hcl, tdx
from cji_simulator import intel as simulated
from cji_simulator.certificates import Credential
from cji_simulator.intel import CPU_SVN, FMSPC, PPID, der, raw_signature
from cji_simulator.tdx import SEPT_VE_DISABLE
from tests.support.forge import Machine, machine

__all__ = [
    "CPU_SVN",
    "FMSPC",
    "PPID",
    "SEPT_VE_DISABLE",
    "Intel",
    "common_name",
    "intel",
    "raw_signature",
    "td_report",
    "without_end",
]


def common_name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def td_report(report_data: bytes, **fields: Any) -> bytes:
    """A TDREPORT whose hashes hold; `fields` are those of `tdx.TdReport`."""
    return tdx.TdReport(report_data=report_data, **({"mrtd": b"t" * 48} | fields)).encode()


def certificate_of(stem: str) -> Any:
    return property(lambda self: getattr(self.maker, stem).certificate)


def key_of(stem: str) -> Any:
    return property(lambda self: getattr(self.maker, stem).key)


@dataclass(kw_only=True)
class Intel:
    """Certificates from thirty days before `now` to three hundred after it, collateral for twenty days."""

    now: datetime = field(default_factory=lambda: datetime.now(UTC).replace(microsecond=0))

    root, ca, pck, tcb_signer = map(certificate_of, ("root", "ca", "pck", "signer"))
    root_key, ca_key, pck_key, tcb_key = map(key_of, ("root", "ca", "pck", "signer"))

    def __post_init__(self) -> None:
        self.certifier = simulated.Certifier(now=self.now, before=timedelta(days=30), after=timedelta(days=300))
        self.maker = simulated.Intel.make(self.certifier)
        self.certificate, self.crl = self.certifier.certificate, self.certifier.crl

    @property
    def trust(self) -> Trust:
        return msgspec.structs.replace(
            AZURE_US, name="test", intel_roots=(spki_sha256(self.root.public_key()),), amd_roots=()
        )

    def quote(self, report: bytes, **kw: Any) -> bytes:
        return tdx.quote(report, self.maker, **kw)

    def with_processor(self, svns: tuple[int, ...] = (4,) * 16, **said: Any) -> "Intel":
        """The same Intel with a processor of another TCB, or of which its certificate says something else."""
        other = dataclasses.replace(self)
        extension = simulated.sgx_extension(svns, **said)
        made = self.certificate(self.pck.subject, self.pck_key, self.ca.subject, self.ca_key, sgx=extension)
        pck = Credential(key=self.pck_key, certificate=made, above=self.maker.ca.chain)
        other.maker = dataclasses.replace(self.maker, pck=pck)
        return other

    def collateral(
        self,
        *,
        until: datetime | None = None,
        fmspc: bytes = FMSPC,
        ca_revokes: tuple[x509.Certificate, ...] = (),
        root_revokes: tuple[x509.Certificate, ...] = (),
        replaced: dict[str, Any] | None = None,
        **said: Any,
    ) -> TdCollateral:
        days = ((until or self.now + timedelta(days=20)) - self.now) / timedelta(days=1)
        publication = simulated.Publication(days=days, **said)
        maker = dataclasses.replace(self.maker, publication=publication)
        values = dataclasses.asdict(maker.collateral(self.now, fmspc=fmspc))
        for member, issuer, key, revoked in (
            ("pck_crl", self.ca, self.ca_key, ca_revokes),
            ("root_ca_crl", self.root, self.root_key, root_revokes),
        ):
            if revoked:
                values[member] = self.crl(issuer.subject, key, revoked)
        values["early"] = TdStatements(**values["early"])
        return TdCollateral(**(values | (replaced or {})))

    def evidence(self, m: Machine, *, report: dict[str, Any] | None = None, **fields: Any) -> Evidence:
        """A bundle of the machine `m` as if it were a TDX one; `fields` replace members of the bundle."""
        claims = m.claims()
        made = td_report(hashlib.sha256(claims).digest() + bytes(32), **(report or {}))
        values: dict[str, Any] = {
            "version": 2,
            "tee": "tdx",
            "hcl_report": hcl.report(made, claims, "tdx")[: 1236 + len(claims)],
            "certs": b"",
            "td_quote": self.quote(made),
            "collateral": self.collateral(),
        }
        return m.evidence(**(values | fields))


@functools.cache
def intel() -> Intel:
    """One Intel for the whole session, at the time of `att_forge.machine()`."""
    return Intel(now=machine().now)


def without_end(crl: bytes, key: ec.EllipticCurvePrivateKey) -> bytes:
    """The CRL without its field nextUpdate, signed again."""
    made = x509.load_der_x509_crl(crl)
    tbs, ends = made.tbs_certlist_bytes, made.next_update_utc
    assert ends is not None
    field = der(0x17, f"{ends:%y%m%d%H%M%SZ}".encode())
    assert tbs.count(field) == 1
    head = tbs.index(b"\x02\x01\x01")  # its version comes first
    body = der(0x30, tbs[head:].replace(field, b""))
    algorithm = der(0x30, bytes.fromhex("06082a8648ce3d040302"))  # ecdsa-with-SHA256
    return der(0x30, body + algorithm + der(0x03, b"\0" + key.sign(body, ec.ECDSA(hashes.SHA256()))))
