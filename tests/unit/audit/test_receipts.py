import base64
import json
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA384
from msgspec import UNSET

from cji_client.verbs.receipt_rows import privacy_rows
from cji_core.jose import key_id, parse_canonical_verifying, public_jwk, thumbprint
from cji_core.jose import sign as sign_message
from cji_core.pairs import SigningPair
from cji_core.suites import Suite
from cji_core.trail import (
    FIRST_PREVIOUS,
    Claims,
    Expected,
    Node,
    PrivacyClaim,
    ReceiptError,
    TasksClaim,
    VerifiedReceipt,
    privacy_of,
    receipt_sha384,
    sign,
    verify_receipt,
)
from cji_core.trail.rules import SequenceError, verify_sequence
from cji_core.wire.v1 import worker_pb2 as pb
from tests.support.receipts import CLAIMS

KEY = ec.generate_private_key(ec.SECP384R1())
PUBLIC = KEY.public_key()
P384_ORDER = int("ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973", 16)

REAL = Expected(simulated=False)


def _b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _raw(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _signed(header: bytes, payload: bytes) -> str:
    """A JWS of any header and payload with a genuine signature."""
    signed = f"{_b64(header)}.{_b64(payload)}"
    r, s = decode_dss_signature(KEY.sign(signed.encode(), ec.ECDSA(SHA384())))
    return f"{signed}.{_b64(r.to_bytes(48, 'big') + s.to_bytes(48, 'big'))}"


def _field(receipt: str, expected: Expected = REAL, key: ec.EllipticCurvePublicKey = PUBLIC) -> str:
    with pytest.raises(ReceiptError) as caught:
        verify_receipt(receipt, key=key, expected=expected)
    return caught.value.field


def _json(receipt: str, part: int) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(_raw(receipt.split(".")[part]))
    return found


RECEIPT = sign(CLAIMS, KEY)
HEADER = _raw(RECEIPT.split(".")[0])
PAYLOAD = _raw(RECEIPT.split(".")[1])


def test_a_signed_receipt_verifies_and_says_what_was_claimed() -> None:
    verified = verify_receipt(RECEIPT, key=PUBLIC, expected=REAL)
    assert verified.claims == CLAIMS
    assert verified.key_id == key_id(PUBLIC)
    assert verified.sha384 == receipt_sha384(RECEIPT)
    assert _json(RECEIPT, 0) == {"alg": "ES384", "kid": key_id(PUBLIC), "typ": "cji-receipt+jws"}


def test_only_verify_makes_a_verified_receipt() -> None:
    with pytest.raises(TypeError):
        VerifiedReceipt(claims=CLAIMS, key_id="x", sha384="y", compact=RECEIPT, constructor_key=object())


def test_every_member_of_the_issue_is_a_required_claim() -> None:
    optional = {"column_keys", "tasks", "privacy"}  # of sealed columns, of jobs in parts, and of tables with noise
    assert not optional & json.loads(PAYLOAD).keys()
    for name in set(Claims.__struct_fields__) - optional:
        payload = json.loads(PAYLOAD)
        del payload[name]
        assert _field(_signed(HEADER, json.dumps(payload, separators=(",", ":")).encode())) == "payload"


def test_a_receipt_of_a_job_in_parts() -> None:
    node = Node(worker="w", receipt_key="A" * 43, evidence_sha384="ab" * 48, region="eastus", tee="snp")
    tasks = TasksClaim(plan_sha384="cd" * 48, statements=9, root_sha256="ef" * 32, nodes=(node,))
    receipt = sign(msgspec.structs.replace(CLAIMS, tasks=tasks), KEY)
    assert verify_receipt(receipt, key=PUBLIC, expected=REAL).claims.tasks == tasks
    for name in ("plan_sha384", "statements", "root_sha256", "nodes"):
        payload = _json(receipt, 1)
        del payload["tasks"][name]
        assert _field(_signed(HEADER, json.dumps(payload, separators=(",", ":")).encode())).startswith("tasks")
    payload = {**_json(receipt, 1), "tasks": None}
    assert _field(_signed(HEADER, json.dumps(payload, separators=(",", ":")).encode())) == "tasks"


def test_a_receipt_of_a_table_with_noise() -> None:
    """It states what the table spent and that nobody keeps the budget; a reader with the header misses it."""
    privacy = pb.Privacy(epsilon_thousandths=500, rows_per_person=3, project="study", wrapped_project_key=b"x")
    claim = privacy_of([pb.Operation(link=pb.Link()), pb.Operation(aggregate=pb.Aggregate(privacy=privacy))])
    assert claim == PrivacyClaim(project="study", epsilon_thousandths=500, rows_per_person=3, budget="advisory")
    assert privacy_of([pb.Operation(aggregate=pb.Aggregate())]) is privacy_of([pb.Operation(link=pb.Link())]) is UNSET
    receipt = sign(msgspec.structs.replace(CLAIMS, privacy=claim), KEY)
    wanted = msgspec.structs.replace(REAL, privacy=claim)
    assert verify_receipt(receipt, key=PUBLIC, expected=wanted).claims.privacy == claim
    for other in (
        CLAIMS,
        msgspec.structs.replace(CLAIMS, privacy=PrivacyClaim(project="p", epsilon_thousandths=500, rows_per_person=3)),
    ):
        with pytest.raises(ReceiptError) as refused:
            verify_receipt(sign(other, KEY), key=PUBLIC, expected=wanted)
        assert refused.value.differing[0].startswith("privacy")
    shown = privacy_rows(claim)["privacy"]
    assert shown == "epsilon 0.5 of project study, 3 rows of a person; its budget is advisory: no worker adds up tables"
    assert privacy_rows(UNSET) == {}
    payload = _json(receipt, 1)
    payload["privacy"]["budget"] = "kept"
    assert _field(_signed(HEADER, json.dumps(payload, separators=(",", ":")).encode())).startswith("privacy")


def test_every_byte_flipped_in_a_receipt_is_refused_and_named() -> None:
    known = {*Claims.__struct_fields__, "header", "payload", "signature", "receipt", "alg", "kid", "typ"}
    for place in range(len(RECEIPT)):
        for other in ("A", "B", "."):
            if RECEIPT[place] != other:
                field = _field(RECEIPT[:place] + other + RECEIPT[place + 1 :])
                assert field.split(".")[0].split("[")[0] in known


@pytest.mark.parametrize(
    ("claim", "value"),
    [
        ("job_id", "ff" * 16),
        ("header_sha384", "ff" * 48),
        ("policy_sha384", "ff" * 48),
        ("kek_id", "https://other.vault.azure.net/keys/cmk/" + "ab" * 16),
        ("requesting_ori", "WI0140000"),
        ("recipients", ("B" * 43,)),
        ("simulated", True),
    ],
)
def test_a_claim_that_is_not_as_expected_is_named(claim: str, value: Any) -> None:
    expected = msgspec.structs.replace(Expected(**{n: getattr(CLAIMS, n) for n in Expected.__struct_fields__}))
    verify_receipt(RECEIPT, key=PUBLIC, expected=expected)
    named = f"{claim}[0]" if isinstance(value, tuple) else claim
    assert _field(RECEIPT, msgspec.structs.replace(expected, **{claim: value})) == named
    # The same when the receipt was altered instead: the signature is broken, and the altered claim is named beside it.
    altered = _encode(msgspec.structs.replace(CLAIMS, **{claim: value}))
    receipt = ".".join([RECEIPT.split(".")[0], _b64(altered), RECEIPT.split(".")[2]])
    with pytest.raises(ReceiptError) as caught:
        verify_receipt(receipt, key=PUBLIC, expected=expected)
    assert caught.value.field == "signature"
    assert caught.value.differing == (named,)
    assert named in str(caught.value)


def _encode(claims: Claims) -> bytes:
    return msgspec.json.Encoder(order="deterministic").encode(claims)


def test_a_flipped_ciphertext_names_the_part() -> None:
    outputs = (CLAIMS.outputs[0], msgspec.structs.replace(CLAIMS.outputs[1], sha256="ff" * 32))
    assert _field(RECEIPT, Expected(simulated=False, outputs=outputs)) == "outputs[1].sha256"
    assert _field(RECEIPT, Expected(simulated=False, outputs=outputs[:1])) == "outputs"


def test_another_key_is_not_asked_for_by_the_receipt() -> None:
    other = ec.generate_private_key(ec.SECP384R1())
    assert _field(sign(CLAIMS, other)) == "kid"
    header = json.dumps({"alg": "ES384", "kid": key_id(PUBLIC), "typ": "cji-receipt+jws"}, separators=(",", ":"))
    forged = sign(CLAIMS, other).split(".")
    assert _field(".".join([_b64(header.encode()), *forged[1:]])) == "signature"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"alg": "none"}, "alg"),
        ({"alg": "ES256"}, "alg"),
        ({"alg": "HS384"}, "alg"),
        ({"typ": "JWT"}, "typ"),
        ({"crit": ["exp"]}, "header"),
        ({"jwk": {}}, "header"),
        ({"x5u": "https://evil.example"}, "header"),
    ],
)
def test_a_header_that_chooses_for_itself_is_refused(change: dict[str, Any], field: str) -> None:
    header = {**json.loads(HEADER), **change}
    assert _field(_signed(json.dumps(header, separators=(",", ":")).encode(), PAYLOAD)) == field


@pytest.mark.parametrize(
    "payload",
    [
        PAYLOAD[:-1] + b',"version":1}',
        PAYLOAD[:-1] + b',"note":"x"}',
        PAYLOAD.replace(b'"version":1', b'"version": 1'),
        PAYLOAD + b" ",
        PAYLOAD.replace(b'"bootloader":3,"microcode":72', b'"microcode":72,"bootloader":3'),
        PAYLOAD.replace(b'"bootloader":3', b'"bootloader":3,"bootloader":3'),
        b"{}",
        b"",
        b"\xff\xfe",
        b"[" * 30_000,
    ],
)
def test_a_signed_payload_with_another_encoding_is_refused(payload: bytes) -> None:
    assert _field(_signed(HEADER, payload)) == "payload"


def test_padding_and_stray_bits_of_base64_are_refused() -> None:
    header, payload, signature = RECEIPT.split(".")
    assert _field(f"{header}.{payload}=.{signature}") == "payload"
    assert _field(f"{header}.{payload}.{signature}=") == "signature"
    assert _field(f"{header}.{payload}") == "receipt"
    assert _field(f"{RECEIPT}.") == "receipt"
    assert _field(f"{header}.{payload}.") == "signature"
    assert _field(f"{header}.{payload}.{_b64(_raw(signature)[:-1])}") == "signature"
    assert _field("é.é.é") == "receipt"
    assert _field("A" * 70_000) == "receipt"


def test_zero_scalars_are_no_signature() -> None:
    header, payload, _ = RECEIPT.split(".")
    assert _field(f"{header}.{payload}.{_b64(bytes(96))}") == "signature"


@pytest.mark.parametrize(
    "change",
    [
        {"job_id": "xyz"},
        {"submitter": "two\nlines"},
        {"submitter": "\u202eright to left"},
        {"inputs": ()},
        {"tcb": {}},
        {"region": ""},
        {"sequence": 0},
        {"ended": "2026-11-24 15:00:01"},
        {"submitter": "\ud800"},
        {"operations": ("x" * 200,) * 400},
    ],
)
def test_claims_out_of_shape_are_never_signed(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"claim out of shape|too long"):
        sign(msgspec.structs.replace(CLAIMS, **change), KEY)


def test_simulated_and_real_readers_refuse_each_others_receipts() -> None:
    simulated = sign(msgspec.structs.replace(CLAIMS, simulated=True), KEY)
    assert _field(simulated) == "simulated"
    verify_receipt(simulated, key=PUBLIC, expected=Expected(simulated=True))
    assert _field(RECEIPT, Expected(simulated=True)) == "simulated"


def _chain(numbers: int, first: int = 1, previous: str = FIRST_PREVIOUS) -> list[VerifiedReceipt]:
    chain: list[VerifiedReceipt] = []
    for number in range(first, first + numbers):
        claims = msgspec.structs.replace(CLAIMS, sequence=number, previous_sha384=previous, job_id=f"{number:032x}")
        chain.append(verify_receipt(sign(claims, KEY), key=PUBLIC, expected=REAL))
        previous = chain[-1].sha384
    return chain


def test_a_whole_sequence_passes_and_may_be_checked_in_pieces() -> None:
    chain = _chain(5)
    verify_sequence(chain)
    verify_sequence([])
    verify_sequence(chain[:2])
    verify_sequence(chain[2:], after=chain[1])


@pytest.mark.parametrize(
    ("order", "kind", "first", "last"),
    [
        ([0, 1, 3, 4], "missing", 3, 3),
        ([0, 4], "missing", 2, 4),
        ([1, 2], "missing", 1, 1),
        ([0, 1, 1, 2], "repeated", 2, 2),
        ([0, 2, 1, 3], "reordered", 3, 3),
        ([4, 3, 2, 1, 0], "reordered", 5, 5),
    ],
)
def test_a_broken_sequence_names_the_gap(order: list[int], kind: str, first: int, last: int) -> None:
    chain = _chain(5)
    with pytest.raises(SequenceError) as caught:
        verify_sequence([chain[i] for i in order])
    assert (caught.value.kind, caught.value.first, caught.value.last) == (kind, first, last)
    assert kind in str(caught.value)


def test_a_repeated_receipt_behind_a_known_one_is_named() -> None:
    chain = _chain(3)
    with pytest.raises(SequenceError) as caught:
        verify_sequence([chain[1], chain[2]], after=chain[1])
    assert caught.value.kind == "repeated"


def test_an_exchanged_predecessor_is_named() -> None:
    chain = _chain(3)
    other = _chain(1, first=2, previous="ee" * 48)
    with pytest.raises(SequenceError) as caught:
        verify_sequence([chain[0], other[0], chain[2]])
    assert (caught.value.kind, caught.value.first) == ("previous", 2)


def test_x13_an_anchor_that_goes_back_is_named() -> None:
    first, second = _chain(2)
    back = msgspec.structs.replace(second.claims, audit_anchor=CLAIMS.audit_anchor - 1)
    rolled_back = verify_receipt(sign(back, KEY), key=PUBLIC, expected=REAL)
    for receipts, after in (([first, rolled_back], None), ([rolled_back], first)):
        with pytest.raises(SequenceError) as caught:
            verify_sequence(receipts, after=after)
        assert (caught.value.kind, caught.value.first, caught.value.field) == ("anchor", 2, "audit_anchor")


def test_receipts_of_two_workers_are_no_sequence() -> None:
    claims = msgspec.structs.replace(CLAIMS, worker="worker-2", sequence=2, previous_sha384=receipt_sha384(RECEIPT))
    second = verify_receipt(sign(claims, KEY), key=PUBLIC, expected=REAL)
    with pytest.raises(ReceiptError) as caught:
        verify_sequence([verify_receipt(RECEIPT, key=PUBLIC, expected=REAL), second])
    assert caught.value.field == "worker"


def test_a_new_signature_does_not_change_the_receipts_digest() -> None:
    header, payload, signature = RECEIPT.split(".")
    raw = _raw(signature)
    other = raw[:48] + (P384_ORDER - int.from_bytes(raw[48:], "big")).to_bytes(48, "big")
    twin = verify_receipt(f"{header}.{payload}.{_b64(other)}", key=PUBLIC, expected=REAL)
    assert twin.compact != RECEIPT
    assert twin.sha384 == receipt_sha384(RECEIPT)


def test_receipt_keys_travel_as_one_canonical_jwk() -> None:
    jwk = public_jwk(PUBLIC)
    assert parse_canonical_verifying(jwk) == PUBLIC
    assert _b64(thumbprint(PUBLIC)) == key_id(PUBLIC)
    members = json.loads(jwk)
    bad = [
        " " + jwk,
        json.dumps({**members, "d": "AA"}, separators=(",", ":")),
        json.dumps({**members, "crv": "P-256"}, separators=(",", ":")),
        json.dumps({**members, "y": members["x"]}, separators=(",", ":")),
        json.dumps({**members, "x": members["x"] + "="}, separators=(",", ":")),
        jwk[:-1],
        "",
    ]
    for text in bad:
        with pytest.raises(ValueError):  # noqa: PT011 - every text but one is refused, in whatever words
            parse_canonical_verifying(text)
    with pytest.raises(ValueError, match="P-384"):
        public_jwk(ec.generate_private_key(ec.SECP256R1()).public_key())


PAIR = SigningPair.generate()
HYBRID = msgspec.structs.replace(CLAIMS, suite=Suite.HYBRID_1)


def test_a_hybrid_receipt_is_signed_by_both_halves() -> None:
    receipt = sign(HYBRID, PAIR)
    assert json.loads(_raw(receipt.split(".")[0]))["alg"] == "ML-DSA-87-ES384"
    assert verify_receipt(receipt, key=PAIR.public_key(), expected=REAL).claims.suite is Suite.HYBRID_1
    with pytest.raises(ReceiptError, match="kid"):
        verify_receipt(receipt, key=PAIR.p384.public_key(), expected=REAL)
    with pytest.raises(ValueError, match="pair"):
        sign(HYBRID, KEY)


@pytest.mark.parametrize(("claims", "alg"), [(HYBRID, "ES384"), (CLAIMS, "ML-DSA-87-ES384")])
def test_x15_the_algorithm_of_a_receipt_is_that_of_its_suite(claims: Claims, alg: str) -> None:
    head = json.dumps({"alg": alg, "kid": key_id(PAIR.public_key()), "typ": "cji-receipt+jws"}, separators=(",", ":"))
    signed = f"{_b64(head.encode())}.{_b64(msgspec.json.encode(claims, order='deterministic'))}"
    suite = Suite.CLASSICAL_1 if alg == "ES384" else Suite.HYBRID_1
    receipt = f"{signed}.{_b64(sign_message(PAIR, signed.encode(), suite))}"
    with pytest.raises(ReceiptError) as caught:
        verify_receipt(receipt, key=PAIR.public_key(), expected=REAL)
    assert caught.value.field == "alg"
