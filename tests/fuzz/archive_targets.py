"""The readers of what auditors and operators bring: timestamps, CoRIMs, evidence of other collectors."""

import functools
from datetime import datetime
from typing import Any, Final

import cbor2
from cryptography.hazmat.primitives.asymmetric import ec

from cji_attestation import Fault
from cji_attestation.appraisal import IdKey, Mrtd, check_timestamp
from cji_attestation.appraisal.corim import CorimValues, read_corim
from cji_attestation.appraisal.corim.cose import CoseError, parse_cbor
from cji_attestation.evidence import Evidence, parse_hcl
from cji_attestation.evidence.imds import read_thim
from cji_attestation.evidence.imported import bundle_of, read_collateral, read_quote, read_trustee
from tests.fuzz.attestation_targets import target
from tests.fuzz.engine import Target
from tests.fuzz.mutators import BYTES, DER, IN_PLACE, JSON
from tests.support.corim_forge import INTEL, NOW, corim, intel_triple, oid_bytes, sign1, snp_triple
from tests.support.import_forge import VALUES, collateral, oldest, quote, serialized, thim, versioned
from tests.support.tsa_forge import tsa

__all__ = ["ARCHIVE"]

_MESSAGE: Final = b"what is stamped"
_TAGS: Final = frozenset({1, 111, 501})


@functools.cache
def _key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP384R1())


def _signed() -> tuple[bytes, ...]:
    return (sign1(corim(), _key()),)


def _payload_kept(data: bytes, value: Any) -> bool:
    """Accepted is only what was signed; headers outside of the signature may change, and so may lengths' forms."""
    (true,) = (cbor2.loads(one).value for one in _signed_once())
    found = cbor2.loads(data).value
    return bool(found[0] == true[0] and found[2] == true[2] and value.measurements)


@functools.cache
def _signed_once() -> tuple[bytes, ...]:
    return _signed()


def _fair(_: bytes, value: CorimValues) -> bool:
    """Whatever is read is a reference value of the right form, with its source."""
    entries: tuple[IdKey | Mrtd, ...] = (*value.id_keys, *value.mrtds)
    digests = (*value.measurements, *(one.digest for one in entries))
    return (
        all(len(one) == 96 and set(one) <= set("0123456789abcdef") for one in digests)
        and all(value.id in one.source for one in entries)
        and (value.tcb_evaluation is None or value.tcb_evaluation > 0)
        and value.signer == ""
    )


def _again(data: bytes, value: Any) -> bool:
    """A second encoding of what was read is read alike."""
    return bool(parse_cbor(cbor2.dumps(value), limit=2 * len(data) + 16, tags=_TAGS) == value)


def _stamped(data: bytes) -> datetime:
    return check_timestamp(data, _MESSAGE, tsa().roots)[0]


@functools.cache
def _responses() -> tuple[bytes, ...]:
    return (tsa().response(_MESSAGE, at=tsa().signer.certificate.not_valid_before_utc),)


def _bundle(data: bytes) -> Evidence:
    found = read_trustee(data)
    return bundle_of(found.hcl_report, found.quote, certs=found.vcek, td_quote=found.td_quote)


def _raw_quote(data: bytes) -> Any:
    return read_quote(quote().message, quote().signature, data)


def _bundle_fair(_: bytes, value: Evidence) -> bool:
    return parse_hcl(value.hcl_report).raw == value.hcl_report and value.version == 4


ARCHIVE: Final[tuple[Target, ...]] = (
    target(
        "cbor",
        lambda: (corim(), cbor2.dumps({1: [2, {"3": b"4"}], -1: None})),
        lambda data: parse_cbor(data, limit=1 << 16, tags=_TAGS | frozenset(range(1 << 10))),
        refusals=(CoseError,),
        weight=60,
    ),
    target(
        "cbor-plain",
        lambda: (cbor2.dumps({1: [2, {"3": b"4"}], -1: None}),),
        lambda data: parse_cbor(data, limit=1 << 16, tags=_TAGS),
        fair=_again,
        refusals=(CoseError,),
        weight=40,
    ),
    target(
        "corim",
        lambda: (corim(), corim(intel_triple(), profile=oid_bytes(INTEL)), corim(snp_triple(), snp_triple())),
        lambda data: read_corim(data, key=None, now=NOW),
        fair=_fair,
        mutators=(*BYTES, *IN_PLACE),
        weight=60,
    ),
    target(
        "corim-signed",
        _signed_once,
        lambda data: read_corim(data, key=_key().public_key(), now=NOW),
        fair=_payload_kept,
        mutators=(*BYTES, *IN_PLACE),
        weight=40,
    ),
    target(
        "timestamp",
        _responses,
        _stamped,
        fair=lambda _, value: value == tsa().signer.certificate.not_valid_before_utc,
        mutators=DER,
        weight=20,
    ),
    target("trustee", lambda: (versioned(), oldest()), _bundle, fair=_bundle_fair, mutators=JSON, weight=10),
    target(
        "tpm2-pcrs",
        lambda: (serialized(VALUES), b"".join(VALUES)),
        _raw_quote,
        fair=lambda _, value: len(value.pcrs) == len(VALUES) and all(len(one) == 32 for one in value.pcrs),
        weight=30,
    ),
    target("dcap-collateral", lambda: (collateral(),), read_collateral, mutators=JSON, weight=10),
    target(
        "thim",
        lambda: (thim(),),
        lambda data: read_thim(data, fault=Fault.EVIDENCE_INVALID),
        mutators=JSON,
        weight=10,
    ),
)
