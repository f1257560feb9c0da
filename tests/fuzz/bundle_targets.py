"""What reaches a machine at its first boot: a bundle, user data that name one, an EST service's answer; and events."""

import base64
import functools
import json
from typing import Any, Final

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7

from cji_attestation.bundle.archive import Bundle, read
from cji_attestation.bundle.errors import BundleRefused
from cji_attestation.bundle.head import Head, read_head
from cji_attestation.bundle.names import access_of
from cji_attestation.bundle.private_keys import private_key_in
from cji_attestation.bundle.signatures import FileSigner, verify
from cji_attestation.bundle.witnesses import Loss, check_steps, sign_loss
from cji_attestation.evidence.event_log import AppliedBundle, bundle_event, read_bundle_event
from cji_core.tlog.leaves import PolicyDecision, encode_leaf
from cji_core.tlog.policy import encode_policy
from cji_core.tlog.submissions import Added
from cji_simulator.certificates import authority, pem, private_pem
from cji_worker.bundle.source import Pointer, read_pointer
from cji_worker.door.est import read_certificates
from tests.fuzz.attestation_targets import target
from tests.fuzz.mutators import BYTES, DER, IN_PLACE, JSON
from tests.support.bundles import KEY, NOW, accepted, files, made
from tests.support.tlog_site import ORIGIN, a_policy, signed

__all__ = ["BUNDLES"]


@functools.cache
def _bundles() -> tuple[bytes, ...]:
    small = {"policy.toml": b"p", "worker.toml": b"w"}
    return made(small).to_bytes(), made(small, by=None).to_bytes(), made(files()).to_bytes()


def _verified(data: bytes) -> Bundle:
    bundle = read(data)
    verify(bundle, accepted(), now=NOW)
    return bundle


def _same(data: bytes, value: object) -> bool:
    """What is read has this one encoding, and names that a bundle can have."""
    assert isinstance(value, Bundle)
    return value.to_bytes() == data and all(access_of(name) is not None for name in value.files)


def _heads() -> tuple[bytes, ...]:
    return tuple(read(one).to_head() for one in _bundles())


def _same_head(data: bytes, value: object) -> bool:
    """What is read has this one encoding."""
    return isinstance(value, Head) and value.to_head() == data


def _signed(_: bytes, value: object) -> bool:
    """Accepted is only what was signed."""
    assert isinstance(value, Bundle)
    return value.sha384 in {read(one).sha384 for one in _bundles()}


def _pointers() -> tuple[bytes, ...]:
    small = {"version": 1, "account": "cjiconfig", "container": "bundles", "blob": "pool/7.bundle"}
    return json.dumps(small).encode(), json.dumps({**small, "cloud": "azure-us", "client_id": "0" * 36}).encode()


def _inside(_: bytes, value: object) -> bool:
    """No name leads out of its place in an address."""
    assert isinstance(value, Pointer)
    return (
        value.account.isalnum()
        and value.account.isascii()
        and "//" not in value.blob
        and not value.blob.startswith(".")
    )


@functools.cache
def _answers() -> tuple[bytes, ...]:
    found = [authority(name, ec.generate_private_key(ec.SECP384R1())).certificate for name in ("One", "Two")]
    return tuple(base64.encodebytes(pkcs7.serialize_certificates(some, Encoding.DER)) for some in (found[:1], found))


def _messages() -> tuple[bytes, ...]:
    return tuple(base64.b64decode(one) for one in _answers())


@functools.cache
def _texts() -> tuple[bytes, ...]:
    key = ec.generate_private_key(ec.SECP384R1())
    return private_pem(key), base64.b64encode(bytes(200)), pem(authority("One", key).certificate)


def _event(data: bytes) -> Any:
    return read_bundle_event(data)


@functools.cache
def _steps() -> tuple[bytes, ...]:
    stated = Loss(
        pool="p",
        previous_sha384="0a" * 48,
        policy_sha384="0b" * 48,
        operator="j",
        explanation="x",
        time="2026-11-30T00:00:00.00Z",
    )
    decided = PolicyDecision(
        origin=ORIGIN,
        previous_sha384="0a" * 48,
        policy=encode_policy(a_policy(url="https://log.pd.example/trails").file).decode(),
        operator="j",
        explanation="x",
        time="2026-11-30T00:00:00.00Z",
    )
    entry = encode_leaf(signed(decided, KEY)).decode()
    return sign_loss(stated, FileSigner(KEY)), msgspec.json.encode(Added(entry=entry, proof="p"))


def _steps_in(data: bytes) -> tuple[str, ...]:
    name = "log/a.lost.json" if data.startswith(b'{"statement"') else "log/a.change.json"
    return check_steps({name: data})


BUNDLES: Final = (
    target("bundle", _bundles, read, refusals=(BundleRefused,), fair=_same, mutators=(*BYTES, *IN_PLACE), weight=60),
    target("bundle-signed", _bundles, _verified, refusals=(BundleRefused,), fair=_signed, weight=30),
    target("bundle-head", _heads, read_head, refusals=(BundleRefused,), fair=_same_head, mutators=BYTES, weight=20),
    target("user-data", _pointers, read_pointer, refusals=(BundleRefused,), fair=_inside, mutators=JSON, weight=20),
    target(
        "est-answer",
        _messages,
        lambda data: read_certificates(base64.b64encode(data)),
        refusals=(ValueError,),
        fair=lambda _, value: isinstance(value, list) and 0 < len(value) <= 64,
        mutators=DER,
        weight=20,
    ),
    target("witness-steps", _steps, _steps_in, refusals=(BundleRefused,), mutators=JSON, weight=20),
    target("bundle-secrets", _texts, private_key_in, mutators=(*BYTES, *IN_PLACE), weight=20),
    target(
        "bundle-event",
        lambda: (bundle_event(AppliedBundle(7, bytes(48))),),
        _event,
        refusals=(ValueError,),
        fair=lambda data, value: isinstance(value, AppliedBundle) and bundle_event(value) == data,
        weight=10,
    ),
)
