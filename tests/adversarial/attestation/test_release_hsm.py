"""H01 to H05: a Managed HSM's attestation of a key, made here as Microsoft's tool reads it; no real one is public."""

import json
import struct
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from cji_attestation import Fault
from cji_attestation.release import hsm as module
from cji_attestation.release.hsm import LOCAL, MAKER_ROOTS, MAX_ATTRIBUTES
from cji_simulator.certificates import authority, leaf, pem
from tests.support.hsm_forge import KEK, NOW, VERSION, attributes, bundle, hsm, signed, statement, verify
from tests.support.refusals import rejected


def refused(data: bytes, check: str, fault: Fault = Fault.RELEASE_INVALID, **kw: Any) -> None:
    with rejected(check, fault=fault):
        verify(data, **kw)


def test_a_key_that_was_born_in_the_hsm() -> None:
    found = verify(bundle())
    assert [check.id for check in found.checks] == ["H01", "H02", "H03", "H03", "H04", "H05"]
    assert (found.kek_id, found.public_key) == (KEK, hsm().key.public_key())
    bare = json.dumps(json.loads(bundle())["attributes"]["attestation"]).encode()
    assert verify(bare).checks == found.checks


def test_production_takes_the_makers_roots_only() -> None:
    refused(bundle(), "H02", Fault.UNTRUSTED_ROOT, roots=MAKER_ROOTS)
    refused(bundle(), "maker-roots", Fault.CONFIG_INVALID, maker=b"")


@pytest.mark.parametrize("version", ["2.0", "1", "", "30", "4.1", "3.", 3])
def test_other_firmware_is_refused(version: object) -> None:
    refused(bundle(version=version), "H01")
    assert verify(bundle(version="3"))


@pytest.mark.parametrize("name", ["certificatePemFile", "privateKeyAttestation", "publicKeyAttestation"])
@pytest.mark.parametrize("value", [None, "", "#", 1])
def test_each_part_is_required(name: str, value: object) -> None:
    with rejected("H01", "H03"):
        verify(bundle(**{name: value}))  # type: ignore[arg-type]


@pytest.mark.parametrize("data", [b"", b"[]", b'{"version":"3","version":"3"}', b"{}", b'{"attributes":1}'])
def test_what_is_no_attestation(data: bytes) -> None:
    refused(data, "H01")


def chain_of(*certificates: Any) -> bytes:
    return b"".join(map(pem, certificates))


def test_a_chain_of_another_maker() -> None:
    partition, adapter, root = hsm().partition.chain
    other = leaf("partition", hsm().partition.rsa(), authority("Adapter", rsa.generate_private_key(65537, 2048)))
    refused(bundle(chain=chain_of(*other.chain)), "H02")
    refused(bundle(chain=chain_of(partition)), "H02")
    refused(bundle(chain=chain_of(adapter)), "H02")
    refused(bundle(chain=chain_of(partition, adapter, adapter)), "H02")
    assert verify(bundle(chain=chain_of(root, *other.chain, adapter, partition)))


@pytest.mark.parametrize("days", [-400, 4000])
def test_certificates_out_of_their_time(days: int) -> None:
    refused(bundle(), "H02", now=NOW + timedelta(days=days))


@pytest.mark.parametrize(
    "key",
    [
        lambda: rsa.generate_private_key(65537, 3072),
        lambda: ec.generate_private_key(ec.SECP256R1()),
        ed25519.Ed25519PrivateKey.generate,
    ],
    ids=["rsa3072", "p256", "ed25519"],
)
def test_a_partition_with_another_kind_of_key(key: Callable[[], Any]) -> None:
    adapter = authority("Adapter", rsa.generate_private_key(65537, 2048), hsm().root)
    other = leaf("partition", key(), adapter)
    refused(bundle(chain=chain_of(*other.chain[:2])), "H02")


@pytest.mark.parametrize("which", ["private", "public"])
def test_a_statement_that_the_partition_did_not_sign(which: str) -> None:
    given = attributes(private=which == "private")
    refused(bundle(**{which: statement(given, signer=rsa.generate_private_key(65537, 2048))}), "H03")
    sound = statement(given)
    for at in (0, 20, len(sound) - 257, len(sound) - 1):
        wrong = bytearray(sound)
        wrong[at] ^= 1
        refused(bundle(**{which: bytes(wrong)}), "H03")


@pytest.mark.parametrize(
    "wrong",
    [
        {"total": 9},
        {"total": 10**6},
        {"size": 10**6},
        {"size": 0},
        {"at": 60000},
        {"count": 99},
        {"count": MAX_ATTRIBUTES + 1},
        {"count": 2**32 - 1},
    ],
)
def test_a_signed_statement_that_is_laid_out_otherwise(wrong: dict[str, int]) -> None:
    refused(bundle(private=statement(attributes(private=True), **wrong)), "H01")  # type: ignore[arg-type]


def test_a_statement_has_nothing_behind_its_data() -> None:
    sound = statement(attributes(private=True))[:-256]
    refused(bundle(private=signed(sound + b"more")), "H01")
    end = len(sound)
    refused(bundle(private=statement(attributes(private=True), size=2 * end - 16)), "H01")


def test_the_makers_roots_are_these() -> None:
    assert set(module.MAKER_ROOTS) == {
        "78adcba1f38bee304bc44d6a086503f2940037d4b3d58a1bf66a3282ef58cd41",
        "f84b0610f2ca68f1f936c12c37a22794b59a2afa54f55f8d3c977232c5b97d7c",
    }


def test_attributes_are_inside_and_once() -> None:
    refused(bundle(private=signed(b"")), "H01")
    body = struct.pack(">III", 7, 1, 0) + struct.pack(">II", LOCAL, 99) + b"\1"
    data = struct.pack(">4H", 0, 0, 8, 0) + body
    refused(bundle(private=signed(struct.pack(">4I", 0, 0, 16 + len(data) + 256, len(data)) + data)), "H01")
    twice = struct.pack(">III", 7, 2, 0) + 2 * (struct.pack(">II", LOCAL, 1) + b"\1")
    data = struct.pack(">4H", 0, 0, 8, 0) + twice
    refused(bundle(private=signed(struct.pack(">4I", 0, 0, 16 + len(data) + 256, len(data)) + data)), "H01")
    many = attributes(private=True) | {0x8000 + n: b"" for n in range(MAX_ATTRIBUTES)}
    refused(bundle(private=statement(many)), "H01")


@pytest.mark.parametrize(
    "change",
    [
        {"x163": b"\0"},  # imported
        {"x163": None},
        {"x163": b""},
        {"x103": b"\0"},
        {"x000": b"\2"},
        {"x100": b"\3"},
        {"x102": f"hsm/keys/other/{VERSION}".encode()},
        {"x102": f"hsm/keys/not-cji-cmk/{VERSION}".encode()},
        {"x102": None},
    ],
)
def test_a_key_that_was_not_born_there(change: dict[str, bytes | None]) -> None:
    refused(bundle(private=statement(attributes(private=True, **change))), "H04")


@pytest.mark.parametrize("change", [{"x000": b"\3"}, {"x100": b"\3"}, {"x102": b"x"}])
def test_a_public_part_of_another_key(change: dict[str, bytes]) -> None:
    refused(bundle(public=statement(attributes(private=False, **change))), "H04")


def test_the_pinned_key_and_version_only() -> None:
    refused(bundle(), "H05", public_thumbprint="A" * 43)
    refused(bundle(), "H04", kek_id=KEK.replace("0123", "3210"))
    for change in ({"x120": None}, {"x122": b"\1"}, {"x120": b"\5"}):
        refused(bundle(public=statement(attributes(private=False, **change))), "H05")
