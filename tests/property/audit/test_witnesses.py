"""What witnesses build on: proofs of a follower, COSE, files that are written once."""

import contextlib
import os
from pathlib import Path

import cbor2
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256, SHA384, HashAlgorithm
from hypothesis import given, settings
from hypothesis import strategies as st
from scitt_cose import build_receipt, build_signed_statement, parse_signed_statement

from cji_core.cose import CoseError
from cji_core.trail.merkle import leaf_hash, verify_consistency
from cji_core.trail.witnesses.cose import sign_statement, verify_receipt, verify_statement
from cji_core.trail.witnesses.follower import Follower
from cji_core.trail.witnesses.keys import ReceiptKeys
from cji_core.trail.witnesses.records import Offer, RecordError, decode_offer, decode_witnessed, write_once
from tests.property.audit.test_merkle import slow_root
from tests.support.witness_services import private_pem, public_pem
from tests.support.witness_trails import Trail

KEYS = {"ES256": ec.generate_private_key(ec.SECP256R1()), "ES384": ec.generate_private_key(ec.SECP384R1())}
KEY = ec.generate_private_key(ec.SECP384R1())


@settings(max_examples=40, deadline=None)
@given(steps=st.lists(st.tuples(st.integers(0, 9), st.booleans(), st.booleans()), max_size=9))
def test_the_proofs_of_a_follower(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[int, bool, bool]]
) -> None:
    """Whenever it reads, restarts or rebases: each proof leads from the last rebase to the newest checkpoint."""
    trail = Trail(path=tmp_path_factory.mktemp("trail") / "audit.log", key=KEY)
    trail.path.touch()
    keys = ReceiptKeys([KEY.public_key()])
    follower, base = Follower(trail.path, keys=lambda: keys), 0
    for count, read, restart in steps:
        trail.write(count).checkpoint()
        if not read:
            continue
        follower.read()
        found = follower.newest
        assert follower.root() == slow_root([leaf_hash(line) for line in trail.lines])
        if found is None:
            assert len(trail.lines) - 1 <= base
            continue
        size, leaves = found.checkpoint.size, [leaf_hash(line) for line in trail.lines]
        assert found.checkpoint.root == slow_root(leaves[:size])
        if base:
            verify_consistency(
                earlier=base,
                earlier_root=slow_root(leaves[:base]),
                size=size,
                root=slow_root(leaves[:size]),
                proof=follower.proof(size),
            )
        follower.rebase(found.position)
        base = size
        if restart:
            follower = Follower(trail.path, keys=lambda: keys, at=found.position)


@pytest.mark.parametrize("alg", KEYS)
def test_scitt_cose_and_this_reader_agree_about_statements(alg: str) -> None:
    key = KEYS[alg]
    ours = sign_statement(b"note", issuer="https://pd.example", subject="cji-worker/w", key=key)
    judged = parse_signed_statement(ours, public_key_pem=public_pem(key))
    assert judged["signature_verified"] is True
    assert (judged["alg"], judged["payload"], judged["subject"]) == (alg, b"note", "cji-worker/w")
    theirs = build_signed_statement(
        b"note",
        alg=alg,
        private_key_pem=private_pem(key),
        issuer="https://pd.example",
        subject="cji-worker/w",
        content_type="text/plain; charset=utf-8",
    )
    for statement in (ours, theirs):
        verify_statement(
            statement, payload=b"note", issuer="https://pd.example", subject="cji-worker/w", key=key.public_key()
        )
        for other in ({"payload": b"Note"}, {"issuer": "x"}, {"subject": "x"}):
            values = {"payload": b"note", "issuer": "https://pd.example", "subject": "cji-worker/w"} | other
            with pytest.raises(CoseError):
                verify_statement(statement, key=key.public_key(), **values)  # type: ignore[arg-type]
    with pytest.raises(CoseError):
        verify_statement(
            ours,
            payload=b"note",
            issuer="https://pd.example",
            subject="cji-worker/w",
            key=KEYS["ES256" if alg == "ES384" else "ES384"].public_key(),
        )


def _receipt(entries: list[bytes], index: int, alg: str, **claims: int) -> bytes:
    made: bytes = build_receipt(
        leaf_entry_hex=entries[index].hex(),
        leaf_index=index,
        tree_entries_hex=[each.hex() for each in entries],
        alg=alg,
        log_private_key_pem=private_pem(KEYS[alg]),
        iat=claims.get("iat"),
    )
    return made


@pytest.mark.parametrize("alg", KEYS)
def test_receipts_for_every_place_in_small_trees(alg: str) -> None:
    for size in range(1, 10):
        entries = [bytes([i]) for i in range(size)]
        for index in range(size):
            receipt = _receipt(entries, index, alg, iat=7)
            found = verify_receipt(receipt, entry=entries[index], key=KEYS[alg].public_key())
            assert (found.index, found.size, found.issued) == (index, size, 7)
            with pytest.raises(CoseError):
                verify_receipt(receipt, entry=b"another", key=KEYS[alg].public_key())


SMALL = _receipt([b"a", b"b", b"c"], 1, "ES384")


@settings(max_examples=300, deadline=None)
@given(data=st.binary(max_size=200), at=st.integers(0, len(SMALL)), cut=st.integers(0, 8))
def test_no_other_bytes_are_a_receipt(data: bytes, at: int, cut: int) -> None:
    for changed in (data, SMALL[:at] + data[:4] + SMALL[at + cut :]):
        if changed != SMALL:
            with pytest.raises(CoseError):
                verify_receipt(changed, entry=b"b", key=KEYS["ES384"].public_key())


def test_a_receipt_in_another_form_is_refused() -> None:
    tag = cbor2.loads(SMALL)
    protected, unprotected, _, signature = tag.value
    proofs = unprotected[396][-1]
    for parts, text in (
        ([protected, unprotected, b"root", signature], "attached"),
        ([protected, {}, None, signature], "no inclusion proof"),
        ([protected, {396: {-1: []}}, None, signature], "no inclusion proof"),
        ([protected, {396: {-1: proofs * 5}}, None, signature], "too many"),
        ([protected, {396: {-1: [7]}}, None, signature], "cannot be read"),
        ([protected, {396: {-1: [cbor2.dumps([2, 3, []])]}}, None, signature], "cannot be read"),
        ([protected, {396: {-1: [cbor2.dumps([True, 0, []])]}}, None, signature], "cannot be read"),
        ([protected, {396: {-1: [cbor2.dumps([1 << 63, 0, []])]}}, None, signature], "cannot be read"),
        ([protected, {396: {-1: [cbor2.dumps([3, 1, [b"x"]])]}}, None, signature], "cannot be read"),
        ([protected, {396: {-1: [cbor2.dumps([3, 1, [bytes(32)] * 64])]}}, None, signature], "too many hashes|read"),
        ([cbor2.dumps({1: -35, 395: 2}), unprotected, None, signature], "not about an RFC 9162 tree"),
        ([cbor2.dumps({1: -35, 395: 1, 2: [395]}), unprotected, None, signature], "critical"),
        ([cbor2.dumps([]), unprotected, None, signature], "not a map"),
        ([protected, unprotected, None], "no COSE_Sign1"),
    ):
        with pytest.raises(CoseError, match=text):
            verify_receipt(cbor2.dumps(cbor2.CBORTag(18, parts)), entry=b"b", key=KEYS["ES384"].public_key())
    with pytest.raises(CoseError, match="preferred form"):
        verify_receipt(SMALL + b"\0", entry=b"b", key=KEYS["ES384"].public_key())
    with pytest.raises(CoseError, match="too long"):
        verify_receipt(bytes(1 << 20), entry=b"b", key=KEYS["ES384"].public_key())


@settings(max_examples=60, deadline=None)
@given(data=st.binary(max_size=200), there=st.binary(max_size=200) | st.none(), prefix=st.integers(0, 200))
def test_a_file_is_written_once(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, there: bytes | None, prefix: int
) -> None:
    """What a crash left of it is completed; anything else is left as it is."""
    path = tmp_path_factory.mktemp("once") / "file"
    for content in (there, data[:prefix]):
        path.unlink(missing_ok=True)
        if content is not None:
            path.write_bytes(content)
        begun = content is None or data.startswith(content)
        with contextlib.nullcontext() if begun else pytest.raises(FileExistsError):
            write_once(path, data)
        assert path.read_bytes() == (data if begun else content)


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "target").write_bytes(b"")
    os.symlink("target", tmp_path / "link")
    with pytest.raises(OSError, match=r"."):
        write_once(tmp_path / "link", b"data")
    assert (tmp_path / "target").read_bytes() == b""


@settings(max_examples=200, deadline=None)
@given(data=st.binary(max_size=300), at=st.integers(0, 400), cut=st.integers(0, 8))
def test_no_bytes_but_canonical_ones_are_a_record(data: bytes, at: int, cut: int) -> None:
    good = Offer(previous=0, consistency=("00" * 32,), note="a note").encode()
    for changed in (data, good[:at] + data[:4] + good[at + cut :]):
        with contextlib.suppress(RecordError):
            assert decode_offer(changed).encode() == changed
        with contextlib.suppress(RecordError):
            assert decode_witnessed(changed).encode() == changed


def _signed(header: dict[int, object], *, over: bytes, attached: bytes, key: ec.EllipticCurvePrivateKey) -> bytes:
    """A COSE_Sign1 whose header, payload and signature need not fit each other."""
    protected, width = cbor2.dumps(header), (key.key_size + 7) // 8
    digest: HashAlgorithm = SHA256() if width == 32 else SHA384()
    r, s = decode_dss_signature(key.sign(cbor2.dumps(["Signature1", protected, b"", over]), ec.ECDSA(digest)))
    signature = r.to_bytes(width, "big") + s.to_bytes(width, "big")
    return cbor2.dumps(cbor2.CBORTag(18, [protected, {}, attached, signature]))


def test_header_payload_and_signature_must_fit_each_other() -> None:
    key = KEYS["ES384"]
    claims = {1: "i", 2: "s"}
    good: dict[int, object] = {1: -35, 3: "text/plain; charset=utf-8", 15: claims}
    values = {"payload": b"note", "issuer": "i", "subject": "s"}

    def check(statement: bytes, key: ec.EllipticCurvePublicKey) -> None:
        verify_statement(statement, key=key, **values)  # type: ignore[arg-type]

    check(_signed(good, over=b"note", attached=b"note", key=key), key.public_key())
    for header, attached in (
        (
            good,
            b"another",
        ),  # the signature is right for what the reader expects, and the statement shows something else
        (good | {1: -7}, b"note"),
        (good | {1: "ES384"}, b"note"),
        ({3: good[3], 15: claims}, b"note"),
        (good | {3: "application/json"}, b"note"),
        (good | {15: {1: "i"}}, b"note"),
        (good | {2: [3]}, b"note"),
    ):
        with pytest.raises(CoseError):
            check(_signed(header, over=b"note", attached=attached, key=key), key.public_key())
    other = ec.generate_private_key(ec.SECP521R1())
    with pytest.raises(CoseError, match="not on P-256 or P-384"):
        check(_signed(good, over=b"note", attached=b"note", key=key), other.public_key())
