"""The attestation service's checks of an AzureGuest request, protocol 2.0.

1.  the outer and inner JSON and every base64 member decode
2.  the AK certificate is below the vTPM root, and its key is AikPub
3.  the quote: AK's signature, TPM_GENERATED, TPM_ST_ATTEST_QUOTE, the PCRs of PcrSet and their digest
4.  the certification: AK's signature, and the name of EncKeyPub
5.  EncKeyPub: attributes 0x20432 and a policy of exactly the quoted PCRs; TcgLogs, where given, lead to those PCRs
6.  the hardware report: VCEK chain to the pinned ARK, signature, TCB and chip id of the VCEK; or the TD quote: PCK
    chain to the pinned root, quoting enclave, signature
7.  the runtime claims: their digest is the report's, HCLAkPub is the AK, secure boot is on

A trusted-launch machine has no step 6 and 7.
"""

import hashlib
import json
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_public_key
from tpm2_pytss.types import TPM2B_PUBLIC, TPMS_ATTEST

from cji_core.documents import decode
from cji_simulator import measured_boot
from cji_simulator.encoding import rsa_jwk, unb64
from cji_simulator.errors import SimulatorError
from cji_simulator.intel import Intel
from cji_simulator.roots import Roots
from cji_simulator.snp import Report
from cji_simulator.tdx import TdReport, verify_quote

__all__ = ["AttestRefused", "GuestEvidence", "GuestRequest", "verify"]

_ATTRIBUTES: Final = 0x20432  # fixedTPM, fixedParent, sensitiveDataOrigin, noDA, decrypt
_GENERATED: Final = 0xFF544347
_QUOTE, _CERTIFY = 0x8018, 0x8017
_PSS: Final = padding.PSS(padding.MGF1(hashes.SHA384()), 48)
_AMD: Final = "1.3.6.1.4.1.3704.1."

T = TypeVar("T")


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


class AttestRefused(SimulatorError):  # noqa: N818 - the service's answer, not a fault of this program
    """HTTP 400 with a code and a message."""

    code = "attest-refused"
    remedy = "Send evidence of this simulation."

    def __init__(self, message: str, *, code: str = "InvalidParameter") -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True, kw_only=True)
class GuestEvidence:
    """A request of which every check passed."""

    request: GuestRequest
    pcrs: dict[int, bytes]
    key: rsa.RSAPublicKey  # the ephemeral key that the reply is encrypted to
    report: Report | TdReport | None
    tcb_status: str  # Intel's word for a TD's TCB
    runtime: dict[str, Any]


def _decoded(what: str, decode: Callable[[], T]) -> T:
    try:
        return decode()
    except Exception as error:  # whatever a hostile body provokes is the same answer
        raise AttestRefused(f"{what} cannot be decoded") from error


def _require(holds: bool, message: str) -> None:
    if not holds:
        raise AttestRefused(message)


def _signed(what: str, key: rsa.RSAPublicKey, signature: bytes, data: bytes) -> None:
    try:
        key.verify(signature, data, padding.PKCS1v15(), hashes.SHA256())
    except InvalidSignature as error:
        raise AttestRefused(f"{what}: the signature is not the attestation key's") from error


def _public(what: str, text: str) -> tuple[Any, rsa.RSAPublicKey]:
    def decode() -> tuple[Any, rsa.RSAPublicKey]:
        data = unb64(text)
        public, length = TPM2B_PUBLIC.unmarshal(data)
        key = load_pem_public_key(public.to_pem())
        if length != len(data) or not isinstance(key, rsa.RSAPublicKey):
            raise ValueError
        return public, key

    return _decoded(what, decode)


def _attest(what: str, data: bytes, kind: int) -> Any:
    parsed, length = _decoded(what, lambda: TPMS_ATTEST.unmarshal(data))
    _require(
        length == len(data) and int(parsed.magic) == _GENERATED and int(parsed.type) == kind,
        f"{what}: not of this kind",
    )
    return parsed  # whole: its parts are views that do not keep it alive


def _selection(pcrs: list[int]) -> bytes:
    """Return TPML_PCR_SELECTION of the SHA-256 bank."""
    mask = sum(1 << pcr for pcr in pcrs)
    return bytes.fromhex("00000001000b03") + mask.to_bytes(3, "little")


def _quote(info: TpmInfo, ak: rsa.RSAPublicKey) -> tuple[dict[int, bytes], bytes]:
    message = _decoded("PcrQuote", lambda: unb64(info.pcr_quote))
    _signed("PcrQuote", ak, _decoded("PcrSignature", lambda: unb64(info.pcr_signature)), message)
    pcrs = _decoded("PCRs", lambda: {pcr.index: unb64(pcr.digest) for pcr in info.pcrs})
    _require(
        bool(pcrs) and sorted(pcrs) == info.pcr_set and all(0 <= p < 24 and len(v) == 32 for p, v in pcrs.items()),
        "PCRs do not match PcrSet",
    )
    attest = _attest("PcrQuote", message, _QUOTE)
    quote = attest.attested.quote
    digest = hashlib.sha256(b"".join(pcrs[index] for index in sorted(pcrs))).digest()
    _require(bytes(quote.pcrSelect.marshal()) == _selection(info.pcr_set), "PcrQuote is of other PCRs")
    _require(bytes(quote.pcrDigest) == digest, "PcrQuote does not match PCRs")
    return pcrs, digest


def _encryption_key(info: TpmInfo, ak: rsa.RSAPublicKey, pcr_digest: bytes) -> rsa.RSAPublicKey:
    public, key = _public("EncKeyPub", info.enc_key_pub)
    message = _decoded("EncKeyCertifyInfo", lambda: unb64(info.enc_key_certify_info))
    signature = _decoded("EncKeyCertifyInfoSignature", lambda: unb64(info.enc_key_certify_info_signature))
    _signed("EncKeyCertifyInfo", ak, signature, message)
    attest = _attest("EncKeyCertifyInfo", message, _CERTIFY)
    certified = bytes(attest.attested.certify.name)
    _require(certified == bytes(public.get_name()), "EncKeyCertifyInfo is of another key")
    area = public.publicArea
    _require(int(area.objectAttributes) == _ATTRIBUTES, "EncKeyPub has other attributes")
    policy = hashlib.sha256(bytes(32) + bytes.fromhex("0000017f") + _selection(info.pcr_set) + pcr_digest).digest()
    _require(bytes(area.authPolicy) == policy, "EncKeyPub is not bound to the quoted PCRs")
    return key


def _boot_log(text: str, pcrs: dict[int, bytes]) -> None:
    """Linux guests may send none."""
    log = _decoded("TcgLogs", lambda: unb64(text))
    if log:
        found = _decoded("TcgLogs", lambda: measured_boot.replay(log))
        _require(
            all(pcrs.get(pcr, value) == value for pcr, value in found.items())
            and all(value == bytes(32) for pcr, value in pcrs.items() if pcr not in found),
            "TcgLogs do not lead to the quoted PCRs",
        )


def _chain(text: str, roots: Roots) -> x509.Certificate:
    def parse() -> list[x509.Certificate]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # serial number 0
            return x509.load_pem_x509_certificates(unb64(text))

    chain = _decoded("VcekCertChain", parse)
    _require(len(chain) == 3, "VcekCertChain has not three certificates")
    ark = roots.ark.certificate
    _require(chain[2].public_bytes(Encoding.DER) == ark.public_bytes(Encoding.DER), "VcekCertChain has another root")
    for below, above in ((chain[0], chain[1]), (chain[1], ark)):
        issuer = above.public_key()
        try:
            if not isinstance(issuer, rsa.RSAPublicKey):
                raise InvalidSignature
            issuer.verify(below.signature, below.tbs_certificate_bytes, _PSS, hashes.SHA384())
        except InvalidSignature as error:
            raise AttestRefused("VcekCertChain: a signature does not verify") from error
    return chain[0]


def _snp(proof_bytes: bytes, roots: Roots) -> Report:
    proof = _decoded("Proof", lambda: decode(proof_bytes, SnpProof, limit=1 << 20))
    vcek = _chain(proof.vcek_cert_chain, roots)
    key = vcek.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise AttestRefused("VcekCertChain: the VCEK is not a P-384 key")
    report = _decoded("SnpReport", lambda: Report.verify(unb64(proof.snp_report), key))
    found = {
        extension.oid.dotted_string.removeprefix(_AMD): extension.value.value
        for extension in vcek.extensions
        if isinstance(extension.value, x509.UnrecognizedExtension)
    }
    levels = [int.from_bytes(found[oid][2:], "big") for oid in ("3.1", "3.2", "3.3", "3.8")]
    tcb = report.tcb
    _require(levels == [tcb.bootloader, tcb.tee, tcb.snp, tcb.microcode], "SnpReport and VCEK differ in TCB")
    _require(found["4"] == report.chip_id, "SnpReport and VCEK are of different chips")
    return report


def _evidence(isolation: Isolation) -> Evidence:
    if isolation.evidence is None:
        raise AttestRefused("IsolationInfo has no evidence")
    return isolation.evidence


def _runtime(evidence: Evidence, report: Report | TdReport, ak: rsa.RSAPublicKey) -> dict[str, Any]:
    raw = _decoded("RunTimeData", lambda: unb64(evidence.run_time_data))
    _require(report.report_data == hashlib.sha256(raw).digest() + bytes(32), "RunTimeData does not match the report")
    runtime = _decoded("RunTimeData", lambda: json.loads(raw))
    expected = rsa_jwk(ak)
    keys = [key for key in runtime["keys"] if key["kid"] == "HCLAkPub"]
    _require([key["n"] for key in keys] == [expected["n"]], "HCLAkPub is not the attestation key")
    if not runtime["vm-configuration"]["secure-boot"]:
        raise AttestRefused("The policy requires secure boot", code="PolicyEvaluationError")
    decoded: dict[str, Any] = runtime
    return decoded


def verify(body: bytes, roots: Roots, intel: Intel) -> GuestEvidence:
    """Check the body of POST /attest/AzureGuest; raises AttestRefused."""

    def parse() -> GuestRequest:
        outer = {key.lower(): value for key, value in json.loads(body).items()}
        return decode(unb64(outer["attestationinfo"]), GuestRequest, limit=1 << 20)

    request = _decoded("AttestationInfo", parse)
    _require(request.attestation_protocol_version == "2.0", "AttestationProtocolVersion is not 2.0")
    info = request.tpm_info
    _, ak = _public("AikPub", info.aik_pub)
    certificate = _decoded("AikCert", lambda: x509.load_der_x509_certificate(unb64(info.aik_cert)))
    try:
        certificate.verify_directly_issued_by(roots.vtpm_ca.certificate)
    except (ValueError, TypeError, InvalidSignature) as error:
        raise AttestRefused("AikCert is not below a known root") from error
    _require(certificate.public_key() == ak, "AikCert is of another key")
    pcrs, digest = _quote(info, ak)
    key = _encryption_key(info, ak, digest)
    _boot_log(request.tcg_logs, pcrs)
    match request.isolation_info.type:
        case "TrustedLaunch":
            return GuestEvidence(request=request, pcrs=pcrs, key=key, report=None, tcb_status="", runtime={})
        case "SevSnp" | "Tdx" as kind:
            evidence = _evidence(request.isolation_info)
            proof = _decoded("Proof", lambda: unb64(evidence.proof))
            report = _snp(proof, roots) if kind == "SevSnp" else _decoded("Proof", lambda: verify_quote(proof, intel))
        case _:
            raise AttestRefused("IsolationInfo is of a kind that this service does not attest")
    return GuestEvidence(
        request=request,
        pcrs=pcrs,
        key=key,
        report=report,
        tcb_status=intel.publication.status,
        runtime=_runtime(evidence, report, ak),
    )
