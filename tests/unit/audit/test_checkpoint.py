"""A checkpoint is read in one form only, and only the key that signed it verifies it."""

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

from cji_core.trail.checkpoint import (
    MAX_BYTES,
    MAX_SIGNATURES,
    CheckpointError,
    NoteSignature,
    note_key_id,
    origin_of,
    parse_checkpoint,
    sign_checkpoint,
)
from cji_core.trail.merkle import EMPTY_ROOT, MAX_SIZE, Frontier, leaf_hash

KEY = ec.generate_private_key(ec.SECP384R1())
PUBLIC = KEY.public_key()
ORIGIN = origin_of("worker-1")


def tree(lines: int) -> Frontier:
    made = Frontier()
    for number in range(lines):
        made.append(leaf_hash(str(number).encode()))
    return made


NOTE = sign_checkpoint(tree(1234), origin=ORIGIN, key=KEY)


@pytest.mark.parametrize("lines", [0, 1, 2, 3, 1000])
def test_what_was_signed_is_read(lines: int) -> None:
    note = sign_checkpoint(tree(lines), origin=ORIGIN, key=KEY)
    found = parse_checkpoint(note)
    found.verify(PUBLIC)
    assert (found.origin, found.size, found.root) == ("cji-worker/worker-1", lines, tree(lines).root())
    assert found.encode() == note
    assert len(note) < 400


def test_it_has_the_form_of_a_signed_note() -> None:
    """C2SP signed-note and tlog-checkpoint, taken apart without our reader."""
    text, _, signature = NOTE.decode().partition("\n\n")
    assert text.split("\n") == [ORIGIN, "1234", base64.b64encode(tree(1234).root()).decode()]
    dash, name, encoded = signature.removesuffix("\n").split(" ")
    data = base64.b64decode(encoded, validate=True)
    assert (dash, name, data[:4]) == ("—", ORIGIN, note_key_id(PUBLIC))
    PUBLIC.verify(data[4:], f"{text}\n".encode(), ec.ECDSA(SHA256()))
    assert base64.b64encode(EMPTY_ROOT) == b"47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="


def test_every_changed_byte_is_refused() -> None:
    for at in range(len(NOTE)):
        for changed in (NOTE[at] ^ 1, NOTE[at] ^ 0x20, NOTE[at] ^ 0x80, 0, 10, 32):
            note = NOTE[:at] + bytes([changed]) + NOTE[at + 1 :]
            if note == NOTE:
                continue
            with pytest.raises(CheckpointError):
                parse_checkpoint(note).verify(PUBLIC, name=ORIGIN)


def test_every_removed_doubled_or_added_byte_is_refused() -> None:
    for at in range(len(NOTE)):
        for note in (NOTE[:at], NOTE[:at] + NOTE[at + 1 :], NOTE[: at + 1] + NOTE[at:], NOTE[:at] + b"\n" + NOTE[at:]):
            if note == NOTE:
                continue
            with pytest.raises(CheckpointError):
                parse_checkpoint(note).verify(PUBLIC, name=ORIGIN)


def test_signatures_of_others_are_kept_and_not_trusted() -> None:
    witness = NoteSignature(name="witness.example", key_id=b"abcd", signature=b"\0" * 72)
    note = NOTE + witness.line().encode()
    found = parse_checkpoint(note)
    found.verify(PUBLIC)
    assert found.encode() == note
    assert found.signatures[1] == witness
    with pytest.raises(CheckpointError, match="not signed"):
        found.verify(ec.generate_private_key(ec.SECP384R1()).public_key())
    with pytest.raises(CheckpointError, match="not signed"):
        found.verify(PUBLIC, name="witness.example")
    with pytest.raises(CheckpointError, match="not signed"):
        found.verify(PUBLIC, name="")


def test_a_second_signature_of_one_key_must_be_right_too() -> None:
    wrong = NoteSignature(name=ORIGIN, key_id=note_key_id(PUBLIC), signature=b"\0" * 72)
    for note in (NOTE + wrong.line().encode(), NOTE.replace(b"\n\n", f"\n\n{wrong.line()}".encode())):
        with pytest.raises(CheckpointError, match="wrong"):
            parse_checkpoint(note).verify(PUBLIC)


def test_bounds() -> None:
    extra = NoteSignature(name="w", key_id=b"abcd", signature=b"x").line().encode()
    parse_checkpoint(NOTE + extra * (MAX_SIGNATURES - 1))
    with pytest.raises(CheckpointError, match="too many"):
        parse_checkpoint(NOTE + extra * MAX_SIGNATURES)
    with pytest.raises(CheckpointError, match="too long"):
        parse_checkpoint(NOTE + b"x" * MAX_BYTES)
    for size in (MAX_SIZE + 1, "01", "-1", "1" * 20, "", "1 "):
        with pytest.raises(CheckpointError):
            parse_checkpoint(NOTE.replace(b"\n1234\n", f"\n{size}\n".encode()))


@pytest.mark.parametrize("worker", ["a b", "a+b", "é", "", "x\n1", "w" * 600])
def test_a_worker_id_that_names_no_trail(worker: str) -> None:
    if worker:
        with pytest.raises(ValueError, match="worker id"):
            origin_of(worker)
    with pytest.raises(ValueError, match="origin"):
        sign_checkpoint(tree(1), origin=worker, key=KEY)


@pytest.mark.parametrize("encoded", ["YWJjZHh=", "YWJjZHg", "YWJjZHg==", "YWJj ZHg=", "YWJjZA==", "-WJjZHg=", ""])
def test_base64_has_one_form(encoded: str) -> None:
    """`YWJjZHg=` is the form of `abcdx`; the second has unused bits, and the fifth is a key id without a signature."""
    parse_checkpoint(NOTE + "— w YWJjZHg=\n".encode())
    with pytest.raises(CheckpointError, match="signature line"):
        parse_checkpoint(NOTE + f"— w {encoded}\n".encode())
