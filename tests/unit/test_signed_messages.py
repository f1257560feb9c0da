"""Every message that a P-384 key of ours signs begins in a way of its own, and none as composite signatures do.

docs/format.md has the table. A new call of a signing function must be listed here, with what it signs.
"""

import ast
import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA384

from cji_attestation.appraisal.advisories.signed import sign_statement as sign_advisories
from cji_attestation.bundle.signatures import FileSigner
from cji_attestation.bundle.signatures import sign as sign_bundle
from cji_attestation.bundle.witnesses import Loss, sign_loss
from cji_audit.review.signed import Statement as Review
from cji_audit.review.signed import sign as sign_review
from cji_client.columns.table_statement import TableStatement, sign_table
from cji_client.signers import KeySigner
from cji_core.format.columns import seal_keys
from cji_core.format.configuration.worker import EnrollmentSection
from cji_core.format.envelope import sign_header
from cji_core.format.envelope.admission import sign_admission
from cji_core.format.envelope.enrollment import sign_request
from cji_core.format.job.policy.signatures import sign as sign_policy
from cji_core.jose import es384_sign, es384_verify
from cji_core.strict import b64url_decode
from cji_core.suites import Suite
from cji_core.tlog.leaves import TrailDecision
from cji_core.trail import sign as sign_receipt
from cji_core.trail import sign_failure
from cji_core.trail.checkpoint import sign_checkpoint
from cji_core.trail.confirmations import ConfirmationClaims, CountedOutput, sign_confirmation
from cji_core.trail.merkle import Frontier
from cji_core.trail.statements import sign_statement as sign_task
from cji_worker.door.est import certificate_request as request_certificate
from tests.support.bundles import made
from tests.support.column_keys import CEKS, statement, worker_key
from tests.support.failures import FAILURE
from tests.support.parsing import parsed
from tests.support.receipts import CLAIMS
from tests.support.task_statements import Honest
from tests.support.tlog_site import signed

ROOT: Final = Path(__file__).parents[2]
COMPOSITE: Final = b"CompositeAlgorithmSignatures2025"
NOW: Final = datetime(2026, 11, 30, tzinfo=UTC)


class Recorder(ec.EllipticCurvePrivateKey):
    """A real key that keeps what it signs."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP384R1())
        self.messages: list[bytes] = []

    @property
    def curve(self) -> ec.EllipticCurve:
        return self._key.curve

    @property
    def key_size(self) -> int:
        return self._key.key_size

    def sign(self, data: Any, signature_algorithm: ec.EllipticCurveSignatureAlgorithm) -> bytes:
        self.messages.append(bytes(data))
        return self._key.sign(data, signature_algorithm)

    def public_key(self) -> ec.EllipticCurvePublicKey:
        return self._key.public_key()

    def exchange(self, *arguments: Any) -> bytes:
        raise NotImplementedError

    def private_numbers(self) -> ec.EllipticCurvePrivateNumbers:
        raise NotImplementedError

    def private_bytes(self, *arguments: Any) -> bytes:
        raise NotImplementedError

    def __copy__(self) -> "Recorder":
        raise NotImplementedError

    def __deepcopy__(self, memo: Any) -> "Recorder":
        raise NotImplementedError


def task(key: Any) -> object:
    honest = Honest()
    return sign_task(honest.facts(*honest.places[0]), bytes(48), key)


def admit(key: Any) -> object:
    given: dict[str, Any] = {"nonce": bytes(32), "receipt_key": bytes(32), "header_sha384": bytes(48), "attempt": 1}
    return sign_admission(key, Suite.CLASSICAL_1, **given)


def vouched(key: Any) -> object:
    return sign_request(key, nonce=bytes(32), pool="p", request_sha384=bytes(48))


REVIEW: Final = Review(
    version=1, week="2026-W48", report_sha384="0a" * 48, page_sha384="0b" * 48, reviewer="j",
    time="2026-11-30T00:00:00.00Z",
    comment="x", findings={}, previous_sha384="00" * 48,
)  # fmt: skip

CONFIRMED: Final = ConfirmationClaims(
    version=1, receipt_sha384="0a" * 48, suite=Suite.CLASSICAL_1, recipient="r" * 43,
    outputs=(CountedOutput(name="result", schema="person/1", rows=10),), confirmed="2026-11-30T00:00:00.00Z",
)  # fmt: skip


def column_keys(key: Any) -> object:
    stated = statement(signing_key=key)
    return seal_keys(stated, CEKS, wrapping=worker_key().public_key(), signer=KeySigner(key))


TABLE: Final = TableStatement(
    table="t", version=1, id="i", columns=("c",), rows=0, row_macs_sha384="0a" * 48, created=NOW
)

DECIDED: Final = TrailDecision(
    origin="log.pd.example/trails", trail="0a" * 48, entries=2, note="n", ak_sha256="0a" * 32, operator="j",
    explanation="x", time="2026-11-30T00:00:00.00Z",
)  # fmt: skip

LOST: Final = Loss(
    pool="p", previous_sha384="0a" * 48, policy_sha384="0b" * 48, operator="j", explanation="x",
    time="2026-11-30T00:00:00.00Z",
)  # fmt: skip

SIGNED: Final[dict[str, tuple[bytes | str, Callable[[Any], object]]]] = {
    "job header": (b"cji-job-sig/1\0", lambda key: sign_header(key, b"header")),
    "admission": (b"cji-admit/1\0", admit),
    "column keys": (b"cji-column-keys/1\0", column_keys),
    "version of a table": (b"cji-table-version/1\0", lambda key: sign_table(TABLE, KeySigner(key))),
    "receipt": ("cji-receipt+jws", lambda key: sign_receipt(CLAIMS, key)),
    "failure receipt": ("cji-failure+jws", lambda key: sign_failure(FAILURE, key)),
    "task statement": ("cji-task+jws", task),
    "checkpoint": (b"cji-worker/", lambda key: sign_checkpoint(Frontier(), origin="cji-worker/w", key=key)),
    "confirmation": ("cji-confirmation+jws", lambda key: sign_confirmation(CONFIRMED, key)),
    "policy": ("cji-policy+jws", lambda key: sign_policy(b"policy", key, now=NOW)),
    "review": ("cji-review+jws", lambda key: sign_review(REVIEW, key)),
    "table of advisories": ("cji-advisories+json", lambda key: sign_advisories("cji-advisories", b"{}", key)),
    "acceptance": ("cji-acceptance+json", lambda key: sign_advisories("cji-acceptance", b"{}", key)),
    "list of processors": ("cji-chips+json", lambda key: sign_advisories("cji-chips", b"{}", key)),
    "decision about a log": (b"cji-log-statement/1\0", lambda key: signed(DECIDED, key)),
    "bundle": (b"cji-bundle-sig/1\0", lambda key: sign_bundle(made(), FileSigner(key))),
    "request for a certificate": (b"cji-enroll/1\0", vouched),
    "loss of witnesses": (b"cji-witnesses-lost/1\0", lambda key: sign_loss(LOST, FileSigner(key))),
}
"""What is signed: bytes at its start, or the `typ` of its JWS; and its real signer."""

SHOWN: Final = {b"\x84\x6aSignature1": "`84 6a`, then `Signature1`"}

SITES: Final = {
    "core/cji_core/fips.py:_operations_work": "a key of this call alone, which is forgotten",
    "core/cji_core/format/columns/sealing.py:seal_keys": "column keys",
    "core/cji_core/format/envelope/admission.py:sign_admission": "admission",
    "core/cji_core/format/envelope/enrollment.py:sign_request": "request for a certificate",
    "core/cji_core/format/envelope/signature.py:sign_header": "job header",
    "core/cji_core/format/job/policy/signatures.py:sign": "policy",
    "core/cji_core/jose.py:composite": "both halves of a composite signature; what is signed is the caller's",
    "core/cji_core/jose.py:sign": "both suites; what is signed is the caller's",
    "core/cji_core/jose.py:es384_sign": "what is signed is the caller's",
    "core/cji_core/tlog/keys.py:signature_of": "Ed25519 or ML-DSA-44, of logs and witnesses",
    "core/cji_core/tlog/token_keys.py:_made": "Ed25519, of logs and witnesses",
    "core/cji_core/pkcs11.py:es384": "job header, admission; decision about a log",
    "core/cji_core/tlog/leaves.py:sign_decision": "decision about a log",
    "core/cji_core/trail/checkpoint.py:sign_checkpoint": "checkpoint",
    "core/cji_core/trail/compact.py:sign": "receipt, failure receipt",
    "core/cji_core/trail/confirmations.py:sign_confirmation": "confirmation",
    "core/cji_core/trail/failures.py:sign_failure": "failure receipt",
    "core/cji_core/trail/receipts.py:sign": "receipt",
    "core/cji_core/trail/statements.py:sign_statement": "task statement",
    "audit/cji_audit/retention/records.py:sign_record": "retention record",
    "attestation/cji_attestation/appraisal/advisories/signed.py:sign_statement": "table of advisories, "
    "acceptance, list of processors",
    "attestation/cji_attestation/bundle/signatures.py:es384": "bundle",
    "attestation/cji_attestation/bundle/signatures.py:sign": "bundle",
    "attestation/cji_attestation/bundle/witnesses.py:sign_loss": "loss of witnesses",
    "attestation/cji_attestation/provider_policy/administration.py:_statement": "RSA",
    "client/cji_client/columns/table_statement.py:sign_table": "version of a table",
    "client/cji_client/first_files.py:_request": "PKCS#10: DER, by a key of the client's connection alone",
    "client/cji_client/pkcs11_keys.py:sign": "job header, admission",
    "client/cji_client/signers.py:header_signature": "job header",
    "client/cji_client/signers.py:sign": "job header, admission",
    "client/cji_client/vault_keys.py:sign": "job header, admission",
    "client/cji_client/verbs/sign_packet.py:sign": "packets of auditors, in hybrid-1 alone",
    "audit/cji_audit/review/signed.py:sign": "review",
    "audit/cji_audit/review/signing.py:sign_review": "review",
    "audit/cji_audit/tlog/log.py:_cosign": "Ed25519 or ML-DSA-44, of logs and witnesses",
    "audit/cji_audit/tlog/witness.py:_sign": "Ed25519 or ML-DSA-44, of logs and witnesses",
    "deploy/cji_deploy/approval.py:issue": "a certificate: DER, by the agency's authority for its doors",
    "deploy/cji_deploy/image/__main__.py:_sign": "an image's digest, by a key of P-256",
    "deploy/cji_deploy/release/__main__.py:main": "a release's digests, by a key of P-256",
    "deploy/cji_deploy/image/signature.py:_sign": "an image's digest, or DSSE's encoding, by a key of P-256",
    "deploy/cji_deploy/vault_signer.py:es384": "bundle",
    "worker/cji_worker/door/est.py:certificate_request": "PKCS#10: DER, by a key of the door alone",
    "worker/cji_worker/keyholder/receipts.py:sign": "receipt",
    "engine/cji_engine/certificates.py:authority": "certificates of the engine's own authority",
    "engine/cji_engine/certificates.py:certificate": "certificates of the engine's own authority",
}
"""Each function of the product that calls a signing function, and what that signs."""
_SIGNING: Final = {"sign", "sign_message", "es384_sign", "es384"}
_RECEIVERS: Final = {"_signer"}  # a ReceiptSigner, whose `sign` is listed


def sites() -> set[str]:
    found = set[str]()
    for path in ROOT.glob("*/cji_*/**/*.py"):
        room = path.relative_to(ROOT)
        if room.parts[0] in {"simulator", "tests"}:
            continue
        for function in ast.walk(parsed(path.read_text(), _SIGNING)):
            if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                calls = (each.func for each in ast.walk(function) if isinstance(each, ast.Call))
                found |= {f"{room}:{function.name}" for call in calls if _signs(call)}
    return found


def _signs(call: ast.expr) -> bool:
    if isinstance(call, ast.Attribute):
        receiver = call.value.attr if isinstance(call.value, ast.Attribute) else ""
        return call.attr in _SIGNING and receiver not in _RECEIVERS
    return isinstance(call, ast.Name) and call.id in _SIGNING


def message(name: str) -> bytes:
    key = Recorder()
    SIGNED[name][1](key)
    (found,) = key.messages
    return found


def typ_of(text: bytes) -> str:
    return str(msgspec.json.decode(b64url_decode(text.partition(b".")[0].decode()))["typ"])


@pytest.mark.parametrize("name", SIGNED)
def test_a_message_begins_as_the_table_states(name: str) -> None:
    tag, found = SIGNED[name][0], message(name)
    assert not found.startswith(COMPOSITE)
    if isinstance(tag, str):
        assert found.startswith(b"eyJhbGciOi")
        assert typ_of(found) == tag
    else:
        assert found.startswith(tag)
    row = re.search(rf"^\| {name} \| (.*) \|$", (ROOT / "docs" / "format.md").read_text(), re.MULTILINE)
    shown = tag if isinstance(tag, str) else SHOWN.get(tag) or tag.decode().replace("\0", "\\0")
    assert row is not None
    assert shown in row[1]


def test_no_two_messages_begin_alike() -> None:
    binary = [COMPOSITE, b"eyJhbGciOi", b"\x30", *(tag for tag, _ in SIGNED.values() if isinstance(tag, bytes))]
    for one in binary:
        assert [other for other in binary if other.startswith(one)] == [one]
    kinds = [tag for tag, _ in SIGNED.values() if isinstance(tag, str)]
    assert len(set(kinds)) == len(kinds)


def test_every_signer_is_listed() -> None:
    assert sites() == set(SITES)
    named = {name for text in SITES.values() for name in text.split(", ")}
    assert set(SIGNED) <= named


def test_no_message_of_composite_signatures_is_signed_alone() -> None:
    key = ec.generate_private_key(ec.SECP384R1())
    with pytest.raises(ValueError, match="composite"):
        es384_sign(key, COMPOSITE + b"x")
    made = es384_sign(key, b"x")
    es384_verify(key.public_key(), made, b"x")
    r, s = decode_dss_signature(key.sign(COMPOSITE + b"x", ec.ECDSA(SHA384())))
    with pytest.raises(InvalidSignature):
        es384_verify(key.public_key(), r.to_bytes(48, "big") + s.to_bytes(48, "big"), COMPOSITE + b"x")


def test_a_request_for_a_certificate_is_der() -> None:
    section = EnrollmentSection(url="https://e/.well-known/est", names=("w.example",), roots="r")
    assert request_certificate(section, ec.generate_private_key(ec.SECP384R1()), None)[:1] == b"\x30"
