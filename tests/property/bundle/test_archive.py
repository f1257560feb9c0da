"""The one reading of a bundle, against a slow twin that is written from the description of the format."""

import hashlib
import json
import struct
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cji_attestation.bundle.archive import Bundle, make, read
from cji_attestation.bundle.errors import BundleRefused
from cji_attestation.bundle.head import MAX_BYTES, MAX_MANIFEST
from cji_attestation.bundle.names import access_of
from cji_attestation.bundle.private_keys import private_key_in
from cji_attestation.bundle.signatures import FileSigner, sign
from tests.support.bundles import KEY, NOW, files, made

SOUND = made({"policy.toml": b"p" * 10, "worker.toml": b"w" * 7})
TWICE = replace(SOUND, manifest_bytes=SOUND.manifest_bytes.replace(b'"serial":7', b'"serial":7,"serial":7'))
NAMES = st.sampled_from(
    [
        "policy.toml", "policy.toml.signatures", "audit.toml", "console.toml", "tls/server.pem", "tls/est-roots.pem",
        "reference/Genoa.crl", "reference/a.jws", "receipt-keys/one.json", "tables/ncic.toml",
    ]
)  # fmt: skip


def twin(data: bytes) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Manifest and files of the bytes of a bundle that is known to be sound."""
    head = b"cji-bundle/1\n"
    assert data[: len(head)] == head
    rest = data[len(head) :]
    size = int.from_bytes(rest[:4], "big")
    manifest: dict[str, Any] = json.loads(rest[4 : 4 + size])
    count = rest[4 + size]
    rest = rest[4 + size + 1 + count * 128 :]
    found = {}
    for entry in manifest["files"]:
        found[entry["name"]], rest = rest[: entry["bytes"]], rest[entry["bytes"] :]
        assert hashlib.sha384(found[entry["name"]]).hexdigest() == entry["sha384"]
    assert not rest
    return manifest, found


def with_manifest(change: Any, *, space: bool = False) -> bytes:
    """The sound bundle with another manifest, which nobody signed."""
    manifest = json.loads(SOUND.manifest_bytes)
    change(manifest)
    text = json.dumps(manifest, separators=None if space else (",", ":")).encode()
    return replace(SOUND, manifest_bytes=text).to_bytes()


@given(
    contents=st.dictionaries(NAMES, st.binary(max_size=40).filter(lambda data: private_key_in(data) is None)),
    pool=st.text(min_size=1, max_size=20).filter(lambda text: text.isprintable()),
    serial=st.integers(1, 2**53 - 1),
    days=st.integers(1, 366),
    signed=st.booleans(),
)
@settings(max_examples=30, deadline=None)
def test_what_is_made_is_read_back(contents: dict[str, bytes], pool: str, serial: int, days: int, signed: bool) -> None:
    given_files = {"worker.toml": b"x", **contents}
    bundle = make(given_files, pool=pool, serial=serial, created=NOW, expires=NOW + timedelta(days=days))
    if signed:
        bundle = sign(bundle, FileSigner(KEY))
    data = bundle.to_bytes()
    assert read(data) == bundle
    manifest, found = twin(data)
    assert (found, manifest["pool"], manifest["serial"]) == (given_files, pool, serial)
    assert bundle.sha384 == hashlib.sha384(b"cji-bundle/1\0" + bundle.manifest_bytes).digest()
    again = make(dict(reversed(given_files.items())), pool=pool, serial=serial, created=NOW, expires=bundle.expires)
    assert again.manifest_bytes == bundle.manifest_bytes


@given(at=st.integers(0, len(SOUND.to_bytes()) - 1), bit=st.integers(0, 7))
@settings(max_examples=150, deadline=None)
def test_a_changed_bit_is_refused_or_is_in_a_signature(at: int, bit: int) -> None:
    data = bytearray(SOUND.to_bytes())
    data[at] ^= 1 << bit
    try:
        found = read(bytes(data))
    except BundleRefused:
        return
    assert found.sha384 != SOUND.sha384 or found == replace(SOUND, signatures=found.signatures)


@given(end=st.integers(0, len(SOUND.to_bytes()) - 1), more=st.binary(min_size=1, max_size=5))
@settings(max_examples=40, deadline=None)
def test_a_cut_or_longer_bundle_is_refused(end: int, more: bytes) -> None:
    data = SOUND.to_bytes()
    for wrong in (data[:end], data + more):
        with pytest.raises(BundleRefused):
            read(wrong)


def _swap(manifest: dict[str, Any]) -> None:
    manifest["files"].reverse()


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (with_manifest(lambda one: None, space=True), "one form"),
        (with_manifest(lambda one: one.update(more=1)), "unknown field `more`"),
        (with_manifest(lambda one: one.pop("pool")), "missing required field `pool`"),
        (with_manifest(lambda one: one.update(version=2)), "Invalid enum value 2"),
        (with_manifest(lambda one: one.update(serial=0)), ">= 1"),
        (with_manifest(lambda one: one.update(serial=7.0)), "Expected `int`, got `float`"),
        (with_manifest(lambda one: one.update(serial=2**53)), "<= 9007199254740991"),
        (with_manifest(lambda one: one.update(created="2026-13-01T00:00:00Z")), "does not match format"),
        (with_manifest(lambda one: one.update(expires=one["created"])), "does not expire after"),
        (with_manifest(lambda one: one.update(expires="2099-01-01T00:00:00Z")), "or too late"),
        (with_manifest(_swap), "out of order"),
        (with_manifest(lambda one: one["files"].append(one["files"][-1])), "one name stands twice"),
        (with_manifest(lambda one: one["files"][0].update(bytes=9)), "cut off"),
        (with_manifest(lambda one: one["files"][0].update(sha384="0" * 96)), "policy.toml is not the file"),
        (TWICE.to_bytes(), "one form"),
        (b"", "not a bundle"),
        (bytes(MAX_BYTES + 1), "more than 4 MiB"),
        (b"cji-bundle/1\n" + struct.pack(">I", 1 << 31), "cut off"),
        (b"cji-bundle/1\n" + struct.pack(">I", 0) + b"\x09", "too long"),
        (b"cji-bundle/1\n" + struct.pack(">I", MAX_MANIFEST + 1) + bytes(MAX_MANIFEST + 2), "too long"),
        (replace(SOUND, signatures=SOUND.signatures * 2).to_bytes(), "one key signed twice"),
    ],
)
def test_another_form_is_refused(wrong: bytes, reason: str) -> None:
    with pytest.raises(BundleRefused) as caught:
        read(wrong)
    assert reason in str(caught.value)
    assert caught.value.remedy


@pytest.mark.parametrize(
    "name",
    [
        "", "/etc/passwd", "../worker.toml", "tls/../worker.toml", "tls/server.key", "tls//server.pem", "worker.toml/",
        "WORKER.TOML", "worker.toml\n", "door.conf", "bundle.json", "tables/other.toml", "reference/.hidden.pem",
        "reference/a/b.pem", "reference/x.key", "receipt-keys/x.pem", "tls/-roots.pem", "tls/roots.pem",
        "tls/x-roots.pem\0",
        "systemd/x.conf", "reference/\u212a.pem",
    ],
)  # fmt: skip
def test_a_name_that_no_bundle_has(name: str) -> None:
    assert access_of(name) is None
    with pytest.raises(BundleRefused):
        made(files(changed={name: b"x"}))


def test_a_bundle_is_of_a_worker() -> None:
    with pytest.raises(BundleRefused, match=r"no worker\.toml"):
        made({"policy.toml": b"x"})


def test_signatures_do_not_change_what_names_a_bundle() -> None:
    unsigned: Bundle = replace(SOUND, signatures=())
    assert unsigned.sha384 == SOUND.sha384
