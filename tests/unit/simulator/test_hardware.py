"""Simulated silicon: the AMD chain, SNP reports, HCL reports and TPM commands as bytes."""

import contextlib
import hashlib
import json
import struct
import uuid
import warnings
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from cji_simulator import amd, hcl, tpm_wire
from cji_simulator.certificates import Credential
from cji_simulator.roots import Roots
from cji_simulator.snp import REPORT_LENGTH, Report, Tcb

PSS = padding.PSS(padding.MGF1(hashes.SHA384()), 48)


@pytest.fixture(scope="module")
def roots(tmp_path_factory: pytest.TempPathFactory) -> Roots:
    return Roots.open(tmp_path_factory.mktemp("roots"))


@pytest.fixture(scope="module")
def key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP384R1())


def report(**fields: object) -> Report:
    given_fields = {
        "report_data": b"d" * 64,
        "chip_id": b"c" * 64,
        "measurement": b"m" * 48,
        "id_key_digest": b"i" * 48,
    }
    return Report(**{**given_fields, **fields})  # type: ignore[arg-type]


def test_the_amd_chain_has_real_serials_names_and_signatures(roots: Roots) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        encoded = [one.certificate.public_bytes(Encoding.DER) for one in (roots.vcek, roots.ask, roots.ark)]
        chain = [x509.load_der_x509_certificate(one) for one in encoded]
        assert [one.serial_number for one in chain] == [0, 65537, 65536]
    names = [one.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)[0].value for one in chain]
    assert names == ["SEV-VCEK", "SEV-Genoa", "ARK-Genoa"]
    for below, above in ((chain[0], chain[1]), (chain[1], chain[2]), (chain[2], chain[2])):
        issuer = above.public_key()
        assert isinstance(issuer, rsa.RSAPublicKey)
        assert issuer.key_size == 4096
        issuer.verify(below.signature, below.tbs_certificate_bytes, PSS, hashes.SHA384())


def test_roots_are_kept(roots: Roots, tmp_path: Path) -> None:
    first = Roots.open(tmp_path)
    assert Roots.open(tmp_path).ark_spki_sha256 == first.ark_spki_sha256 != roots.ark_spki_sha256


def test_half_made_roots_are_made_anew(tmp_path: Path) -> None:
    first = Roots.open(tmp_path).ark_spki_sha256
    (tmp_path / "complete").unlink()
    assert Roots.open(tmp_path).ark_spki_sha256 != first


def test_roots_about_to_end_are_made_anew(tmp_path: Path) -> None:
    first = Roots.open(tmp_path)
    credential = Credential.load(tmp_path / "maa-ca")
    end, earlier = credential.certificate.not_valid_after_utc, datetime.now(UTC) + timedelta(hours=23)
    before, after = (f"{each:%y%m%d%H%M%S}".encode() for each in (end, earlier))
    der = credential.certificate.public_bytes(Encoding.DER).replace(before, after)
    certificate = x509.load_der_x509_certificate(der)
    assert certificate.not_valid_after_utc < end
    replace(credential, certificate=certificate).save(tmp_path / "maa-ca")
    assert Roots.open(tmp_path).ark_spki_sha256 != first.ark_spki_sha256


@pytest.mark.parametrize(("value", "der"), [(0, "020100"), (127, "02017f"), (128, "02020080"), (217, "020200d9")])
def test_levels_are_der_integers(value: int, der: str) -> None:
    assert amd._integer(value).hex() == der


def test_report_round_trip(key: ec.EllipticCurvePrivateKey) -> None:
    made = report(policy=0x3001F | 1 << 19, vmpl=2, tcb=Tcb(microcode=219))
    data = made.sign(key)
    assert len(data) == REPORT_LENGTH
    assert Report.verify(data, key.public_key()) == made
    assert made.debuggable
    assert not made.migratable


def test_report_refuses_a_flipped_bit_anywhere_that_is_signed(key: ec.EllipticCurvePrivateKey) -> None:
    data = report().sign(key)
    for at in range(4, 0x2A0, 13):
        broken = bytearray(data)
        broken[at] ^= 1
        with pytest.raises(ValueError, match="signature"):
            Report.verify(bytes(broken), key.public_key())


def test_tcbm_is_the_number_in_hex() -> None:
    assert Tcb(bootloader=4, tee=0, snp=24, microcode=219).tcbm == "DB18000000000004"  # as a real machine answered


def test_hcl_report_layout() -> None:
    keys = [rsa.generate_private_key(65537, 2048).public_key() for _ in range(2)]
    claims = hcl.RuntimeClaims(ak=keys[0], ek=keys[1], vm_id=uuid.UUID(int=0xAB)).encode(bytes(range(64)))
    data = hcl.report(b"H" * REPORT_LENGTH, claims)
    assert len(data) == hcl.NV_SIZE["snp"]
    assert struct.unpack_from("<4sIIII", data) == (b"HCLA", 1, 1236 + len(claims), 2, 0)
    assert struct.unpack_from("<IIIII", data, 1216) == (20 + len(claims), 1, 2, 1, len(claims))
    assert data[1236 : 1236 + len(claims)] == claims
    assert not any(data[1236 + len(claims) :])
    assert hcl.report_data(claims) == hashlib.sha256(claims).digest() + bytes(32)
    parsed = json.loads(claims)
    assert [one["kid"] for one in parsed["keys"]] == ["HCLAkPub", "HCLEkPub"]
    assert parsed["user-data"] == bytes(range(64)).hex().upper()
    assert list(parsed) == ["keys", "vm-configuration", "user-data"]


@pytest.mark.vectors
def test_member_names_of_runtime_claims_are_the_recorded_ones(vectors: Path) -> None:
    raw = (vectors / "azure/kinvolk/hcl-report-snp.bin").read_bytes()
    size = struct.unpack_from("<I", raw, 1232)[0]
    recorded = json.loads(raw[1236 : 1236 + size])
    key = rsa.generate_private_key(65537, 2048).public_key()
    made = json.loads(hcl.RuntimeClaims(ak=key, ek=key, vm_id=uuid.uuid4()).encode(bytes(64)))
    assert set(recorded) <= set(made)
    assert list(recorded["keys"][0]) == list(made["keys"][0])


@given(st.binary(max_size=80))
def test_any_command_bytes(data: bytes) -> None:
    for parse in (tpm_wire.parse_nv_read, tpm_wire.nv_read_public, tpm_wire.qualifying_length):
        with contextlib.suppress(tpm_wire.MalformedCommandError):
            parse(data.ljust(tpm_wire.HEADER, b"\0"))


@given(st.integers(0, 2**32 - 1))
def test_command_length_is_bounded(size: int) -> None:
    head = struct.pack(">HII", 0x8001, size, 0x14E)
    if tpm_wire.HEADER <= size <= tpm_wire.MAX_COMMAND:
        assert tpm_wire.header_size(head) == size
    else:
        with pytest.raises(tpm_wire.MalformedCommandError):
            tpm_wire.header_size(head)
