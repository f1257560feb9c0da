"""Evidence that another collector took on an Azure machine, as a bundle of version 4.

Its parts are files as tpm2-tools, the metadata service and dcap-qvl write them, or one JSON text of the attesters
az-snp-vtpm and az-tdx-vtpm of confidential-containers (trustee, deps/verifier/src/az_snp_vtpm/compat.rs and its twin
for TDX: version 0 has no version and bytes as arrays; versions 1 and 2 have hexadecimal and base64url).

Nothing is verified here. The public area of the AK is not among the parts: it is built from HCLAkPub by the template of
Azure's AK (openvmm, `ak_pub_template`). A quote names its signer by the digest of that area, so E22 compares it.
"""

import struct
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding

from cji_attestation.errors import AttestationError, Fault, invalid
from cji_attestation.evidence.bundle import IMPORTED, Evidence, TdCollateral
from cji_attestation.evidence.hcl import parse_hcl
from cji_attestation.evidence.pck import pck_subject
from cji_attestation.evidence.td_quote import MAX_QUOTE_BYTES, parse_td_quote
from cji_attestation.evidence.tpm_structures import NULL, RSA, RSASSA, SHA256, parse_attest, selected_pcrs
from cji_attestation.strict import load_der, load_pem_chain, parse_object, text_member
from cji_core.strict import JsonObject, b64url_decode, hex_decode

MAX_TEXT_BYTES: Final = 256 * 1024  # of JSON; real ones of version 0, with arrays of numbers, have 36 KiB
_CHECK: Final = "import"
_PCR_BYTES: Final = 32
_MOST_PCRS: Final = 24
_SIGNATURE_BYTES: Final = 256  # of RSA with 2048 bits
_TPMT_SIGNATURE: Final = struct.pack(">HHH", RSASSA, SHA256, _SIGNATURE_BYTES)
_SELECTIONS: Final = 132  # bytes of a TPML_PCR_SELECTION as tpm2_quote writes it: the structure in memory
_DIGESTS: Final = 8  # places of a TPML_DIGEST there
_AK_ATTRIBUTES: Final = 0x50472  # noDA, userWithAuth and those that E22 requires
_VERSIONS: Final = (1, 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """A TPMS_ATTEST, its signature, and the values of the PCRs that it selects, in ascending order."""

    message: bytes
    signature: bytes
    pcrs: tuple[bytes, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrusteeEvidence:
    """`vcek` is PEM, and empty for TDX; `td_quote` is empty for SNP."""

    hcl_report: bytes
    quote: Quote
    vcek: bytes
    td_quote: bytes


def _refused(found: str) -> AttestationError:
    return invalid(_CHECK, found=found, expected="parts of one machine's evidence, as docs/attestation.md lists them")


def bundle_of(
    hcl_report: bytes,
    quote: Quote,
    *,
    certs: bytes = b"",
    td_quote: bytes = b"",
    collateral: TdCollateral | None = None,
) -> Evidence:
    """A bundle of these parts: `certs` is PEM of VCEK, ASK and ARK. EVIDENCE_INVALID "hcl", "hcl-ak", "import"."""
    report = parse_hcl(hcl_report)
    if (report.tee == "snp") != bool(certs) or (report.tee == "tdx") != bool(td_quote):
        raise _refused(f"an HCL report of kind {report.tee} with other parts")
    if collateral is not None and report.tee != "tdx":
        raise _refused("Intel's collateral with a machine of AMD")
    if collateral is not None:
        _require_one_processor(td_quote, collateral.tcb_info)
    return Evidence(
        version=IMPORTED,
        tee=report.tee,
        hcl_report=report.raw,
        ak_public=_ak_public(report.ak),
        ak_cert=b"",
        certs=certs,
        td_quote=td_quote,
        quote=quote.message,
        quote_signature=quote.signature,
        pcrs=quote.pcrs,
        ephemeral=b"",
        certify=b"",
        certify_signature=b"",
        collateral=msgspec.UNSET if collateral is None else collateral,
    )


def _require_one_processor(td_quote: bytes, tcb_info: str) -> None:
    quoted = pck_subject(parse_td_quote(td_quote).pck_chain).fmspc
    statement = parse_object(tcb_info.encode(), limit=MAX_TEXT_BYTES, fault=Fault.EVIDENCE_INVALID, check=_CHECK)
    listed = text_member(statement, "fmspc", fault=Fault.EVIDENCE_INVALID, check=_CHECK).upper()
    if listed != quoted:
        raise _refused(f"collateral of FMSPC {listed} with a quote of FMSPC {quoted}")


def _ak_public(key: rsa.RSAPublicKey) -> bytes:
    """TPM2B_PUBLIC of Azure's AK with this key."""
    size = (key.key_size + 7) // 8
    area = struct.pack(">HHIHHHH", RSA, SHA256, _AK_ATTRIBUTES, 0, NULL, RSASSA, SHA256)
    area += struct.pack(">HIH", key.key_size, 0, size) + key.public_numbers().n.to_bytes(size, "big")
    return struct.pack(">H", len(area)) + area


def read_quote(message: bytes, signature: bytes, pcrs: bytes) -> Quote:
    """A quote as tpm2_quote writes it; EVIDENCE_INVALID "tpm-structure" or "import".

    `signature` is a TPMT_SIGNATURE or the signature alone. `pcrs` is the values one after the other, as tpm2_pcrread
    and `tpm2_quote -F values` write them, or the structures of `-F serialized`.
    """
    count = len(selected_pcrs(parse_attest(message).selection))
    values = _values(pcrs, count)
    return Quote(message=message, signature=_bare_signature(signature), pcrs=values)


def _bare_signature(data: bytes) -> bytes:
    bare = data.removeprefix(_TPMT_SIGNATURE) if len(data) > _SIGNATURE_BYTES else data
    if len(bare) != _SIGNATURE_BYTES:
        raise _refused(f"a signature of {len(data)} bytes")
    return bare


def _values(data: bytes, count: int) -> tuple[bytes, ...]:
    if len(data) == _PCR_BYTES * count:
        return tuple(data[at : at + _PCR_BYTES] for at in range(0, len(data), _PCR_BYTES))
    found: list[bytes] = []
    try:
        (lists,) = struct.unpack_from("<I", data, _SELECTIONS)
        at = _SELECTIONS + 4
        if len(data) != at + lists * (4 + _DIGESTS * 66):
            raise ValueError
        for start in range(at, len(data), 4 + _DIGESTS * 66):
            (used,) = struct.unpack_from("<I", data, start)
            places = data[start + 4 : start + 4 + _DIGESTS * 66]
            found += [_digest(places, 66 * place) for place in range(used)]
    except (ValueError, struct.error) as error:
        raise _refused(f"PCR values of {len(data)} bytes") from error
    if len(found) != count:
        raise _refused(f"{len(found)} PCR values for a quote of {count}")
    return tuple(found)


def _digest(data: bytes, at: int) -> bytes:
    """One TPM2B_DIGEST of SHA-256 in a place of 66 bytes."""
    (size,) = struct.unpack_from("<H", data, at)
    if size != _PCR_BYTES:
        raise ValueError
    return data[at + 2 : at + 2 + size]


def read_collateral(data: bytes) -> TdCollateral:
    """Intel's collateral in the JSON of dcap-qvl: CRLs and signatures are hexadecimal. EVIDENCE_INVALID "import"."""
    found = parse_object(data, limit=MAX_TEXT_BYTES, fault=Fault.EVIDENCE_INVALID, check=_CHECK)
    binary = ("root_ca_crl", "pck_crl", "tcb_info_signature", "qe_identity_signature")
    texts = ("pck_crl_issuer_chain", "tcb_info_issuer_chain", "tcb_info", "qe_identity_issuer_chain", "qe_identity")
    values: dict[str, Any] = {name: _hex(found.get(name), MAX_TEXT_BYTES, name) for name in binary}
    for name in texts:
        values[name] = found.get(name)
        if not isinstance(values[name], str):
            raise _refused(f"no {name}")
    return TdCollateral(**values)


def read_trustee(data: bytes) -> TrusteeEvidence:
    """The evidence that an Azure attester of confidential-containers sends to trustee; EVIDENCE_INVALID "import"."""
    found = parse_object(data, limit=MAX_TEXT_BYTES, fault=Fault.EVIDENCE_INVALID, check=_CHECK)
    if "version" not in found:
        return _oldest(found)
    version = found["version"]
    members = {"version", "tpm_quote", "hcl_report", "td_quote" if "td_quote" in found else "vcek"}
    if type(version) is not int or version not in _VERSIONS or set(found) != members:
        raise _refused(f"version {version} with members {', '.join(sorted(found))}")
    quote = _quote(found["tpm_quote"], _hex)
    vcek = b""
    if "vcek" in found:
        der = load_der(_base64url(found["vcek"], "vcek"), fault=Fault.EVIDENCE_INVALID, check=_CHECK)
        vcek = der.public_bytes(Encoding.PEM)
    td_quote = _base64url(found["td_quote"], "td_quote") if "td_quote" in found else b""
    return _trustee(_base64url(found["hcl_report"], "hcl_report"), quote, vcek, td_quote)


def _oldest(found: JsonObject) -> TrusteeEvidence:
    """Version 0."""
    if set(found) == {"quote", "report", "vcek"} and isinstance(found["vcek"], str):
        chain = load_pem_chain(found["vcek"].encode(), fault=Fault.EVIDENCE_INVALID, check=_CHECK)
        vcek = chain[0].public_bytes(Encoding.PEM)
        report = _array(found["report"], MAX_TEXT_BYTES, "report")
        return _trustee(report, _quote(found["quote"], _array), vcek, b"")
    if set(found) == {"tpm_quote", "hcl_report", "td_quote"}:
        report, td_quote = (_array(found[name], MAX_TEXT_BYTES, name) for name in ("hcl_report", "td_quote"))
        return _trustee(report, _quote(found["tpm_quote"], _array), b"", td_quote)
    raise _refused(f"members {', '.join(sorted(found))}")


def _trustee(hcl_report: bytes, quote: Quote, vcek: bytes, td_quote: bytes) -> TrusteeEvidence:
    if len(td_quote) > MAX_QUOTE_BYTES:
        raise _refused("a TD quote that is too long")
    return TrusteeEvidence(hcl_report=hcl_report, quote=quote, vcek=vcek, td_quote=td_quote)


def _quote(value: Any, read: Any) -> Quote:
    if not isinstance(value, dict) or set(value) != {"signature", "message", "pcrs"}:
        raise _refused("a TPM quote with other members")
    pcrs = value["pcrs"]
    if not isinstance(pcrs, list) or len(pcrs) > _MOST_PCRS:
        raise _refused("no list of PCRs, or a longer one")
    return Quote(
        message=read(value["message"], MAX_TEXT_BYTES, "message"),
        signature=_bare_signature(read(value["signature"], MAX_TEXT_BYTES, "signature")),
        pcrs=tuple(read(one, _PCR_BYTES, "PCR") for one in pcrs),
    )


def _hex(value: Any, most: int, name: str) -> bytes:
    if not isinstance(value, str) or len(value) > 2 * most:
        raise _refused(f"{name} that is not hexadecimal")
    try:
        return hex_decode(value)
    except ValueError as error:
        raise _refused(f"{name} that is not hexadecimal in lower case") from error


def _array(value: Any, most: int, name: str) -> bytes:
    if (
        not isinstance(value, list)
        or len(value) > most
        or not all(type(one) is int and 0 <= one < 256 for one in value)
    ):
        raise _refused(f"{name} that is not an array of bytes")
    return bytes(value)


def _base64url(value: Any, name: str) -> bytes:
    try:
        if not isinstance(value, str):
            raise ValueError
        return b64url_decode(value.rstrip("="))
    except ValueError as error:
        raise _refused(f"{name} that is not base64url") from error


def chain_of(vcek: bytes, chain: bytes) -> bytes:
    """PEM of a VCEK and of its issuers ASK and ARK, without other text; EVIDENCE_INVALID "import"."""
    found = (
        *load_pem_chain(vcek, fault=Fault.EVIDENCE_INVALID, check=_CHECK)[:1],
        *load_pem_chain(chain, fault=Fault.EVIDENCE_INVALID, check=_CHECK),
    )
    return b"".join(one.public_bytes(Encoding.PEM) for one in found)
