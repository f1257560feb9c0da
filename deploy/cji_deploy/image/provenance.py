"""The inputs and results of a build, as an in-toto statement with SLSA's predicate.

`python -m cji_deploy.image.provenance provenance.intoto.json cosign.pub` verifies one and prints it.

It is signed as DSSE has it: a signature of the statement and of its type. Sources: in-toto Attestation Framework,
Statement v1; slsa.dev/spec/v1.0/provenance; secure-systems-lab/dsse, protocol 1.0. A builder on an agency's
own machine is what SLSA calls level 1: the statement names the inputs, and rebuilding proves them.
"""

import base64
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
from cryptography.hazmat.primitives import serialization
from msgspec import Meta

from cji_core.certs import load_private_key
from cji_core.documents import decode
from cji_core.strict import StrictError, b64_decode, parse_object
from cji_deploy.image.signature import KeyUnusableError, SignatureError, digest_of, sign_bytes, verify_bytes

__all__ = ["enveloped", "opened", "provenance"]

_TYPE: Final = "application/vnd.in-toto+json"
_MOST: Final = 16 << 20
_MOST_SIGNATURES: Final = 16
BUILDERS: Final = {
    "deploy/image/build": "urn:cji-worker:image-build:v1",
    "tools/release": "urn:cji-worker:release-build:v1",
}
"""Each program that builds, and the type of its builds."""


def provenance(
    subjects: Mapping[str, str],
    *,
    builder: str,
    commit: str,
    modified: bool,
    external: Mapping[str, Any],
    internal: Mapping[str, Any],
    materials: Sequence[tuple[str, str]],
    tools: Mapping[str, str],
) -> bytes:
    """JSON. `subjects` are {file: SHA-256}, `materials` (URI, SHA-256) of what went in, `tools` {name: version}.

    `builder` is a key of `BUILDERS`; `external` are the parameters that its caller chose, `internal` all others.
    """
    source: dict[str, Any] = {"uri": "git+file:.", "digest": {"gitCommit": commit}}
    if modified:
        source["annotations"] = {"modified": True}
    statement = {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": name, "digest": {"sha256": digest}} for name, digest in sorted(subjects.items())],
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {
            "buildDefinition": {
                "buildType": BUILDERS[builder],
                "externalParameters": dict(external),
                "internalParameters": dict(internal),
                "resolvedDependencies": [
                    source,
                    *({"uri": uri, "digest": {"sha256": digest}} for uri, digest in sorted(materials)),
                ],
            },
            "runDetails": {"builder": {"id": f"urn:cji-worker:{builder}", "version": dict(sorted(tools.items()))}},
        },
    }
    return json.dumps(statement, indent=1).encode() + b"\n"


def enveloped(statement: bytes, key_file: Path) -> bytes:
    """The statement with its signature, by an unencrypted PEM key of P-256, as JSON."""
    signature = sign_bytes(_signed(statement), key_file)
    key = load_private_key(key_file.read_bytes()).public_key()
    public = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    envelope = {
        "payloadType": _TYPE,
        "payload": base64.b64encode(statement).decode(),
        "signatures": [{"keyid": digest_of(public).hex(), "sig": signature}],
    }
    return json.dumps(envelope, indent=1).encode() + b"\n"


class _Signature(msgspec.Struct, frozen=True):
    sig: str


class _Envelope(msgspec.Struct, frozen=True, rename="camel"):
    """DSSE's. Members that it does not have here, such as `keyid`, decide nothing."""

    payload_type: str
    payload: str
    signatures: Annotated[tuple[_Signature, ...], Meta(min_length=1, max_length=_MOST_SIGNATURES)]


class EnvelopeError(SignatureError):
    """The file is not an envelope with a statement."""

    remedy = "Give the provenance.intoto.json of the build, unchanged, and then its cosign.pub."


def opened(envelope: bytes, public_key: bytes) -> dict[str, Any]:
    """The statement, if a signature of this PEM public key is of it; raises SignatureError for any other bytes."""
    try:
        found = decode(envelope, _Envelope, limit=_MOST)
        statement = b64_decode(found.payload)
    except StrictError as error:
        raise EnvelopeError(f"this is not a DSSE envelope: {error}") from error
    if found.payload_type != _TYPE:
        raise EnvelopeError("the envelope does not have an in-toto statement")
    for one in found.signatures:
        try:
            verify_bytes(_signed(statement), one.sig, public_key, what="this statement")
        except KeyUnusableError:
            raise
        except SignatureError:
            continue
        try:
            return parse_object(statement, limit=_MOST)
        except StrictError as error:
            raise EnvelopeError(f"the signed statement is not JSON: {error}") from error
    raise SignatureError("no signature of the envelope is of this key")


def _signed(statement: bytes) -> bytes:
    """The pre-authentication encoding."""
    return b"DSSEv1 %d %s %d %s" % (len(_TYPE), _TYPE.encode(), len(statement), statement)


def main(arguments: Sequence[str]) -> int:
    """The command; 1 for an envelope that this key did not sign."""
    if len(arguments) != 2:
        print("give the envelope and the public key", file=sys.stderr)
        return 2
    try:
        statement = opened(Path(arguments[0]).read_bytes(), Path(arguments[1]).read_bytes())
    except (SignatureError, OSError) as error:
        remedy = error.remedy if isinstance(error, SignatureError) else "Name two files that can be read."
        print(f"not verified: {error}\n{remedy}", file=sys.stderr)
        return 1
    print(json.dumps(statement, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
