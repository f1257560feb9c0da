"""The envelope of a CoRIM (draft-ietf-rats-corim-11, §4 and §5): signature, validity, profile, and its triples.

    501(corim-map), or 18([protected, unprotected, payload, signature]) with that as the payload
    corim-map  {0 id, 1 [506(bytes of a CoMID)], ?2 dependent RIMs, ?3 profile, ?4 validity, ?5 entities}
    CoMID      {?0 language, 1 identity, ?2 entities, ?3 linked tags, 4 {0 [[environment, [measurement]]]}}

Read are reference triples alone. Any other kind of triple, tag or link could change what those mean: it is refused by
its name. Dependent RIMs and entities are left out: nothing here follows or trusts them.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import cbor2
from cryptography.hazmat.primitives.asymmetric import ec

from cji_attestation.appraisal.corim.cose import (
    SIGN1,
    CoseError,
    SignatureError,
    UnverifiedSign1,
    parse_cbor,
    split_sign1,
    verify_sign1,
)
from cji_attestation.appraisal.corim.refusal import CHECK, array, mapping, octets, oid, refused, tagged, text, whole
from cji_attestation.errors import AttestationError, Fault

MAX_CORIM_BYTES: Final = 256 * 1024
MOST_TRIPLES: Final = 256
_TIME, _URI, _UUID, _OID, _CORIM, _COMID = 1, 32, 37, 111, 501, 506
_TAGS: Final = frozenset(
    {_TIME, SIGN1, _URI, _UUID, _OID, _CORIM, 505, _COMID, 508, *range(550, 565), 60010, 60020, 60021}
)
_CONTENT: Final = ("application/rim+cbor", "application/corim-unsigned+cbor")  # the second until draft 03
_CORIM_MAP: Final = {0: "id", 1: "tags", 2: "dependent RIMs", 3: "profile", 4: "validity", 5: "entities"}
_COMID_MAP: Final = {0: "language", 1: "tag identity", 2: "entities", 4: "triples"}
_TRIPLES: Final = {0: "reference triples"}
_ENVIRONMENT: Final = {0: "class", 1: "instance", 2: "group"}
_CLASS: Final = {0: "class id", 1: "vendor", 2: "model", 3: "layer", 4: "index"}
_MEASUREMENT: Final = {0: "measurement key", 1: "values", 2: "authorized by"}
_VALIDITY: Final = {0: "not before", 1: "not after"}
_HEADER: Final = {1: "algorithm", 3: "content type", 4: "key id", 8: "corim-meta", 15: "CWT claims", 33: "x5chain"}
_META: Final = {0: "signer", 1: "validity"}
_SIGNER: Final = {0: "name", 1: "URI"}
_CLAIMS: Final = {1: "issuer", 2: "subject", 4: "expiration", 5: "not before", 6: "issued at"}
_MOST_SECONDS: Final = 253402300799  # 9999-12-31T23:59:59Z


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """Whom a triple is about. `more` names the members that select one machine among several, or that say more."""

    class_id: str
    model: str
    more: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """One measurement of a triple. `authorized` is true if the document requires a signer of the evidence."""

    key: Any
    values: Mapping[Any, Any]
    authorized: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Triple:
    """One state that a target environment may be in."""

    environment: Environment
    measurements: tuple[Measurement, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A CoRIM that is in force, and signed where a key was given."""

    id: str
    profile: str
    signer: str
    begins: datetime | None
    ends: datetime | None
    triples: tuple[Triple, ...]
    left_out: tuple[str, ...]


def read_document(data: bytes, *, key: ec.EllipticCurvePublicKey | None, now: datetime) -> Document:
    """The CoRIM in `data`: one with a signature needs its signer's key, one without must not have any."""
    outer = _decoded(data)
    number = outer.tag if isinstance(outer, cbor2.CBORTag) else None
    signer, windows = "", []
    if number == SIGN1:
        if key is None:
            raise refused("a signature, and no key to verify it with")
        message, payload = _opened(outer.value, key)
        signer, window = _signer(message)
        windows.append(window)
        outer = _decoded(payload)
    elif key is not None:
        raise refused("no signature")
    corim = mapping(tagged(outer, _CORIM, "CoRIM"), "corim-map", _CORIM_MAP)
    windows.append(_validity(corim[4]) if 4 in corim else (None, None))
    begins = max((one for one, _ in windows if one), default=None)
    ends = min((one for _, one in windows if one), default=None)
    if (begins and now < begins) or (ends and now > ends):
        raise refused(f"a CoRIM in force from {begins} to {ends}, not at {now}")
    triples = tuple(triple for tag in array(corim.get(1), "tags") for triple in _comid(tag))
    if len(triples) > MOST_TRIPLES:
        raise refused(f"more than {MOST_TRIPLES} triples")
    return Document(
        id=_identifier(corim.get(0)),
        profile=_profile(corim.get(3)),
        signer=signer,
        begins=begins,
        ends=ends,
        triples=triples,
        left_out=tuple(_CORIM_MAP[number] for number in (2,) if number in corim),
    )


def _opened(value: Any, key: ec.EllipticCurvePublicKey) -> tuple[UnverifiedSign1, bytes]:
    """A COSE_Sign1 and its payload, which this key signed."""
    try:
        message = split_sign1(value, tags=_TAGS)
        return message, verify_sign1(message, key)
    except SignatureError as error:
        raise AttestationError(Fault.CONFIG_INVALID, check="corim-signature") from error
    except CoseError as error:
        raise refused(str(error)) from error


def _decoded(data: bytes) -> Any:
    try:
        return parse_cbor(data, limit=MAX_CORIM_BYTES, tags=_TAGS)
    except CoseError as error:
        raise AttestationError(Fault.CONFIG_INVALID, check=CHECK) from error


def _identifier(value: Any) -> str:
    return octets(value, 16, "id").hex() if isinstance(value, bytes) else text(value, "id")


def _profile(value: Any) -> str:
    """A URI or an object identifier; drafts before 04 have an array of one."""
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, cbor2.CBORTag) and value.tag == _OID:
        return oid(value, "profile")
    return text(value.value if isinstance(value, cbor2.CBORTag) and value.tag == _URI else value, "profile")


Window = tuple[datetime | None, datetime | None]


def _validity(value: Any) -> Window:
    found = mapping(value, "validity", _VALIDITY)
    if 1 not in found:
        raise refused("a validity without an end")
    begins, ends = (_time(tagged(found[at], _TIME, "time")) if at in found else None for at in (0, 1))
    return begins, ends


def _time(value: Any) -> datetime:
    seconds = whole(value, "time", bits=64)
    if seconds > _MOST_SECONDS:
        raise refused("a time after the year 9999")
    return datetime.fromtimestamp(seconds, UTC)


def _signer(message: UnverifiedSign1) -> tuple[str, Window]:
    """The signer, as the protected header names it, and when that signature is in force."""
    header = mapping(message.header, "protected header", _HEADER)
    if header.get(3) not in _CONTENT:
        raise refused("a protected header without the content type of a CoRIM")
    if 15 in header:
        claims = mapping(header[15], "CWT claims", _CLAIMS)
        begins, ends = (_time(claims[at]) if at in claims else None for at in (5, 4))
        return text(claims.get(1), "issuer"), (begins, ends)
    if not isinstance(header.get(8), bytes):
        raise refused("a protected header that names no signer")
    meta = mapping(_decoded(header[8]), "corim-meta", _META)
    name = text(mapping(meta.get(0), "signer", _SIGNER).get(0), "signer's name")
    return name, _validity(meta[1]) if 1 in meta else (None, None)


def _comid(tag: Any) -> Iterator[Triple]:
    data = tagged(tag, _COMID, "tag")
    if not isinstance(data, bytes):
        raise refused("a CoMID that is not a byte string")
    comid = mapping(_decoded(data), "CoMID", _COMID_MAP)
    found = mapping(comid.get(4), "triples", _TRIPLES)
    for record in array(found[0], "reference triples"):
        if not isinstance(record, list) or len(record) != 2:
            raise refused("a reference triple of another shape")
        environment, measurements = record
        yield Triple(
            environment=_environment(environment),
            measurements=tuple(map(_measurement, array(measurements, "measurements"))),
        )


def _environment(value: Any) -> Environment:
    found = mapping(value, "environment", _ENVIRONMENT)
    kind = mapping(found.get(0), "class", _CLASS)
    more = [name for at, name in _ENVIRONMENT.items() if at and at in found]
    more += [name for at, name in _CLASS.items() if at not in {0, 2} and at in kind]
    return Environment(
        class_id=oid(kind.get(0), "class id"),
        model=text(kind.get(2, ""), "model"),
        more=tuple(more),
    )


def _measurement(value: Any) -> Measurement:
    found = mapping(value, "measurement", _MEASUREMENT)
    if not isinstance(found.get(1), dict):
        raise refused("a measurement without values")
    return Measurement(key=found.get(0), values=found[1], authorized=2 in found)
