"""The formats of C2SP, by the examples in their specifications and by what they forbid."""

import base64
import hashlib
import os
from pathlib import Path
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ed25519, mldsa

from cji_core.errors import StartupError
from cji_core.tlog.keys import (
    LOG_TYPES,
    WITNESS_TYPES,
    NoteKey,
    SeedSigner,
    new_signers,
    parse_vkey,
    read_signers,
    write_signers,
)
from cji_core.tlog.proofs import parse_proof
from cji_core.tlog.requests import AddCheckpoint, encode_body, parse_body, parse_size
from cji_core.tlog.submissions import bears
from cji_core.tlog.tiles import Tile, encode_bundle, parse_path, split_bundle, split_hashes, tiles_of
from cji_core.trail.checkpoint import (
    Checkpoint,
    CheckpointError,
    NoteSignature,
    parse_checkpoint,
    parse_cosigned,
    parse_signatures,
    split_note,
)

# C2SP signed-note, "Example"
VKEY = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
NOTE = """This is an example message.

— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=
""".encode()
# C2SP tlog-cosignature, the checkpoint of "Format"
COSIGNED = (
    "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n"
    "— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeM"
    "cTOAYQ8=\n"
    "— witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+"
    "mbIUBkBIfZ+qnA==\n"
).encode()
# C2SP tlog-witness, "add-checkpoint"
BODY = (
    b"old 20852014\n"
    b"PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=\n"
    b"jrJZDmY8Y7SyJE0MWLpLozkIVMSMZcD5kvuKxPC3swk=\n"
    b"5+pKlUdi2LeF/BcMHBn+Ku6yhPGNCswZZD1X/6QgPd8=\n"
    b"/6WVhPs2CwSsb5rYBH5cjHV/wSmA79abXAwhXw3Kj/0=\n"
    b"\n"
) + COSIGNED


def seeded(name: str, kind: int, seed: int = 7) -> SeedSigner:
    return SeedSigner(name=name, kind=kind, seed=bytes([seed]) * 32)


def test_the_vkey_of_the_specification() -> None:
    key = parse_vkey(VKEY)
    assert (key.name, key.kind, key.key_id.hex(), key.vkey) == ("example.com/foo", 1, "530d903a", VKEY)


def test_the_signed_note_of_the_specification() -> None:
    text, (line,) = split_note(NOTE, limit=1000)
    (signature,) = parse_signatures(f"{line}\n".encode())
    note = Checkpoint(origin="", size=0, root=b"", text=text.encode(), signatures=(signature,))
    assert parse_vkey(VKEY).signature_on(note) == 0
    changed = Checkpoint(origin="", size=0, root=b"", text=b"x" + text.encode(), signatures=(signature,))
    with pytest.raises(CheckpointError):
        parse_vkey(VKEY).signature_on(changed)


def test_the_cosignature_of_the_specification_has_its_time() -> None:
    note = parse_cosigned(COSIGNED)
    assert note.encode() == COSIGNED
    assert int.from_bytes(note.signatures[1].signature[:8], "big") == 1679315147


@pytest.mark.parametrize("kind", [1, 4, 6])
def test_a_signature_is_over_the_stated_bytes(kind: int) -> None:
    note = parse_cosigned(COSIGNED)
    signer = seeded("witness.example/w1", kind)
    made, key = signer.sign(note, at=1679315147), signer.key
    text = COSIGNED.split(b"\n\n")[0] + b"\n"
    messages = {
        1: text,
        4: b"cosignature/v1\ntime 1679315147\n" + text,
        6: b"subtree/v1\n\0"
        + bytes([18])
        + b"witness.example/w1"
        + (1679315147).to_bytes(8, "big")
        + bytes([27])
        + b"example.com/behind-the-sofa"
        + bytes(8)
        + (20852163).to_bytes(8, "big")
        + note.root,
    }
    signature = made.signature if kind == 1 else made.signature[8:]
    assert kind == 1 or made.signature[:8] == (1679315147).to_bytes(8, "big")
    public: Any = ed25519.Ed25519PublicKey if kind != 6 else mldsa.MLDSA44PublicKey
    public.from_public_bytes(key.public).verify(signature, messages[kind])
    with pytest.raises(InvalidSignature):
        public.from_public_bytes(key.public).verify(signature, messages[kind] + b"x")
    wanted = hashlib.sha256(b"witness.example/w1\n" + bytes([kind]) + key.public).digest()[:4]
    assert (made.key_id, len(key.public)) == (wanted, 1312 if kind == 6 else 32)


@pytest.mark.parametrize("kind", [1, 4, 6])
def test_a_wrong_signature_spoils_the_note(kind: int) -> None:
    note, signer = parse_cosigned(COSIGNED), seeded("w.example/1", kind)
    good = signer.sign(note, at=5)
    bad = NoteSignature(name=good.name, key_id=good.key_id, signature=good.signature[:-1] + b"\0")
    other = NoteSignature(name="w.example/2", key_id=good.key_id, signature=bad.signature)

    def signed(*signatures: NoteSignature) -> Checkpoint:
        return Checkpoint(origin=note.origin, size=note.size, root=note.root, text=note.text, signatures=signatures)

    assert signer.key.signature_on(signed(good)) == (0 if kind == 1 else 5)
    assert signer.key.signature_on(signed(other)) is None
    for each in (signed(bad), signed(good, bad)):
        with pytest.raises(CheckpointError):
            signer.key.signature_on(each)
    if kind != 1:
        with pytest.raises(CheckpointError):
            signer.key.signature_on(signed(signer.sign(note, at=0)))


def test_an_add_checkpoint_body_of_the_specification() -> None:
    found = parse_body(BODY)
    assert (found.old, len(found.proof), found.note.size) == (20852014, 4, 20852163)
    assert found.encode() == BODY
    assert parse_body(encode_body(0, [], COSIGNED)) == AddCheckpoint(old=0, proof=(), note=found.note)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"old 0\n" + COSIGNED,
        b"old 01\n\n" + COSIGNED,
        b"old -1\n\n" + COSIGNED,
        b"old 0\r\n\n" + COSIGNED,
        b"old 99999999999999999999\n\n" + COSIGNED,
        b"old 9999999999999999999\n\n" + COSIGNED,
        b"old 1\nAAAA\n\n" + COSIGNED,
        b"old 1\n" + base64.b64encode(b"x" * 32) + b" \n\n" + COSIGNED,
        b"old 1\n" + (base64.b64encode(b"x" * 32) + b"\n") * 64 + b"\n" + COSIGNED,
        b"old 1\n\n",
    ],
)
def test_other_bodies_are_refused(body: bytes) -> None:
    with pytest.raises(CheckpointError):
        parse_body(body)


def test_a_witness_reads_extension_lines() -> None:
    extended = COSIGNED.replace(b"q2I=\n", b"q2I=\nextension one\n", 1)
    found = parse_cosigned(extended)
    assert found.text.endswith(b"extension one\n")
    assert found.encode() == extended
    with pytest.raises(CheckpointError):
        parse_checkpoint(extended)
    with pytest.raises(CheckpointError):
        parse_cosigned(COSIGNED.replace(b"q2I=\n", b"q2I=\n\nextension\n", 1))


def test_the_tile_paths_of_the_specification() -> None:
    assert Tile(level=0, index=1234067).path == "tile/0/x001/x234/067"
    seventy = list(tiles_of(70_000))
    assert [each.width for each in seventy if each.level == 0] == [256] * 273 + [112]
    assert [each.path for each in seventy if each.level] == ["tile/1/000", "tile/1/001.p/17", "tile/2/000.p/1"]
    assert [each.path for each in tiles_of(256)] == ["tile/0/000", "tile/1/000.p/1"]
    for each in seventy:
        assert parse_path(each.path) == each
        assert each.is_in(70_000)
        assert not each.is_in(111 if each.level == 0 else 255)


def test_only_new_tiles_are_read() -> None:
    assert [each.path for each in tiles_of(260, since=255)] == ["tile/0/000", "tile/0/001.p/4", "tile/1/000.p/1"]
    assert list(tiles_of(256, since=256)) == []


@pytest.mark.parametrize(
    "path",
    [
        *("tile/0/67", "tile/00/067", "tile/0/x000/067", "tile/0/067.p/0", "tile/0/067.p/256", "tile/0/067.p/01"),
        *(
            "tile/8/000",
            "tile/-1/000",
            "tile/0/x1/067",
            "tile/0/001/067",
            "tile/entries/",
            "tile/0/000/",
            "/tile/0/000",
        ),
        *(
            "tile/0/x999/x999/x999/x999/x999/x999/999",
            "tile/0/\u0660\u0660\u0660",
            "tile/0/000.p/5.p/5",
            "tile/0/000\n",
        ),
    ],
)
def test_other_tile_paths_are_refused(path: str) -> None:
    with pytest.raises(CheckpointError):
        parse_path(path)


def test_a_bundle_has_its_entries() -> None:
    entries = [b"", b"a", b"b" * 65_535]
    assert split_bundle(encode_bundle(entries), width=3) == entries
    for data, width in (
        (encode_bundle(entries), 2),
        (encode_bundle(entries), 4),
        (encode_bundle(entries)[:-1], 3),
        (b"\0", 1),
        (b"\0\5ab", 1),
    ):
        with pytest.raises(CheckpointError):
            split_bundle(data, width=width)
    with pytest.raises(CheckpointError):
        split_hashes(b"x" * 33, width=1)


def test_a_new_key_file_is_on_disk_with_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced, fsync = list[str](), os.fsync

    def recorded(fd: int) -> None:
        fsync(fd)
        synced.append(os.readlink(f"/proc/self/fd/{fd}"))

    monkeypatch.setattr(os, "fsync", recorded)
    write_signers(tmp_path / "log.key", new_signers("log.example/1", LOG_TYPES))
    assert synced == [str(tmp_path / "log.key"), str(tmp_path)]


def test_key_files_are_private(tmp_path: Path) -> None:
    signers = new_signers("log.example/1", LOG_TYPES)
    write_signers(tmp_path / "log.key", signers)
    assert read_signers(tmp_path / "log.key", kinds=LOG_TYPES) == signers
    with pytest.raises(StartupError):
        read_signers(tmp_path / "log.key", kinds=WITNESS_TYPES)
    with pytest.raises(FileExistsError):
        write_signers(tmp_path / "log.key", signers)
    (tmp_path / "log.key").chmod(0o640)
    with pytest.raises(StartupError, match="Others can read"):
        read_signers(tmp_path / "log.key", kinds=LOG_TYPES)


@pytest.mark.parametrize(
    "text", ["", "a+b", "a+00000000+AQ==", VKEY[:-4], VKEY.replace("530d903a", "530d903b"), "+" + VKEY]
)
def test_other_vkeys_are_refused(text: str) -> None:
    with pytest.raises(CheckpointError):
        parse_vkey(text)
    with pytest.raises(CheckpointError):
        NoteKey(name="a b", kind=1, public=bytes(32))


def test_sizes_and_proofs() -> None:
    assert parse_size(b"17\n") == 17
    for body in (b"17", b"017\n", b"\n", b"17\n\n", b"-1\n", b"9999999999999999999\n"):
        with pytest.raises(CheckpointError):
            parse_size(body)
    proof = b"c2sp.org/tlog-proof@v1\nindex 0\n\n" + COSIGNED
    assert parse_proof(proof).encode() == proof
    for other in (
        proof.replace(b"@v1", b"@v2"),
        proof.replace(b"index 0", b"index 00"),
        proof[:30],
        b"x\n\n" + COSIGNED,
    ):
        with pytest.raises(CheckpointError):
            parse_proof(other)


def test_a_token_is_compared_whole() -> None:
    assert bears("Bearer " + "t" * 32, "t" * 32)
    for header in (
        None,
        "",
        "t" * 32,
        "Bearer " + "t" * 31,
        "bearer " + "t" * 32,
        "Bearer " + "t" * 33,
        "Bearer \u00e9",
    ):
        assert not bears(header, "t" * 32)
