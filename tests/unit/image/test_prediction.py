"""Predicted PCRs against systemd-measure, sbsign and a PCR that is extended by hand."""

import contextlib
import hashlib
import json
import struct
import subprocess
import uuid
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cji_attestation.appraisal.boot_image import sound_image
from cji_deploy.image.boot_events import PHASES, predict
from cji_deploy.image.pcrs import main, pins
from cji_deploy.image.pe import PeError, PeImage
from cji_deploy.image.secure_boot import SecureBoot, SecureBootError, signature_list
from cji_deploy.image.stub_initrd import Entry, newc, passed_initrd
from tests.unit.image.conftest import LINE, MEASURE, SmallImage

OWNER = uuid.UUID("77fa9abd-0359-4d32-bd60-28f4e78f784b")


def test_pcr_11_is_what_systemd_measure_computes(small: SmallImage, tmp_path: Path) -> None:
    if not MEASURE.is_file():
        pytest.skip("systemd-measure is not installed")
    sbat = tmp_path / "sbat"
    sbat.write_bytes(PeImage.parse(small.signed.read_bytes()).section(".sbat"))
    files = {**small.sections, "sbat": sbat}
    command = [str(MEASURE), "calculate", "--bank=sha256", f"--phase={':'.join(PHASES)}", "--json=short"]
    command += [f"--{name}={path}" for name, path in files.items()]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    twin = json.loads(done.stdout)["sha256"][0]["hash"]
    assert predict(small.signed.read_bytes(), None).pcrs()[11].hex() == twin


def test_the_digest_is_the_one_that_sbsign_signed(small: SmallImage, tmp_path: Path) -> None:
    signature = tmp_path / "signature"
    subprocess.run(["sbattach", "--detach", signature, small.signed], check=True, capture_output=True)
    image = PeImage.parse(small.signed.read_bytes())
    assert image.signed
    assert image.digest in signature.read_bytes()


def test_a_signature_does_not_change_the_digest(small: SmallImage) -> None:
    unsigned, signed = (PeImage.parse(one.read_bytes()) for one in (small.unsigned, small.signed))
    assert not unsigned.signed
    assert unsigned.digest == signed.digest


def test_every_changed_byte_that_is_covered_changes_the_digest(small: SmallImage) -> None:
    data = small.signed.read_bytes()
    before = PeImage.parse(data).digest
    for at in (len(data) // 5, len(data) // 3, len(data) // 2, data.index(b"ab" * 32)):
        changed = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
        assert PeImage.parse(changed).digest != before, hex(at)


def test_a_changed_command_line_changes_pcr_4_9_and_11(small: SmallImage) -> None:
    data = small.signed.read_bytes()
    before, after = (predict(one, None).pcrs() for one in (data, data.replace(b"ab" * 32, b"ab" * 31 + b"ac", 1)))
    assert {pcr for pcr in before if before[pcr] != after[pcr]} == {4, 9, 11}


def test_the_image_is_a_reference_value(small: SmallImage) -> None:
    image = predict(small.signed.read_bytes(), None).image
    assert sound_image(image)
    assert image.command_line == LINE
    assert image.parts[".initrd"] == hashlib.sha256(small.sections["initrd"].read_bytes()).hexdigest()
    assert len(image.initrds) == 1  # with the stub's archives


def test_the_kernel_unpacks_what_the_stub_passes(small: SmallImage, tmp_path: Path) -> None:
    passed = passed_initrd(PeImage.parse(small.signed.read_bytes()))
    own = small.sections["initrd"].read_bytes()
    archive = passed[len(own) + -len(own) % 4 :]
    subprocess.run(["cpio", "-i", "--quiet"], input=archive, cwd=tmp_path, check=True)
    assert (tmp_path / ".extra" / "os-release").read_bytes() == small.sections["osrel"].read_bytes()


def test_cpio_twin(tmp_path: Path) -> None:
    entries = (Entry(path="a", mode=0o755), Entry(path="a/b", mode=0o644, data=b"12345", inode=1))
    subprocess.run(["cpio", "-i", "--quiet"], input=newc(entries), cwd=tmp_path, check=True)
    assert (tmp_path / "a" / "b").read_bytes() == b"12345"


@given(st.binary(max_size=600))
def test_any_bytes_are_an_image_or_refused(data: bytes) -> None:
    with contextlib.suppress(PeError):
        PeImage.parse(b"MZ" + data)


def test_damaged_headers_are_refused(small: SmallImage) -> None:
    data = small.unsigned.read_bytes()
    (header,) = struct.unpack_from("<I", data, 0x3C)
    for at, value in ((0, b"ZM"), (header, b"NE"), (header + 6, b"\xff\xff"), (header + 24, b"\x00\x00")):
        with pytest.raises(PeError):
            PeImage.parse(data[:at] + value + data[at + len(value) :])
    with pytest.raises(PeError):
        PeImage.parse(data[: len(data) // 2])


# ---- PCR 7


def _machine(certificate: bytes, **variables: bytes) -> SecureBoot:
    own = signature_list(OWNER, certificate)
    return SecureBoot(variables={"PK": own, "KEK": own, "db": own, "dbx": b"", **variables}, signer=certificate)


def test_pcr_7_is_extended_in_the_order_of_the_firmware(small: SmallImage) -> None:
    machine = _machine(small.key.der)
    value = bytes(32)
    for _, digest in machine.digests():
        value = hashlib.sha256(value + digest).digest()
    assert predict(small.signed.read_bytes(), machine).pcrs()[7] == value
    assert [name for name, _ in machine.digests()][:5] == ["SecureBoot", "PK", "KEK", "db", "dbx"]


def test_pcr_7_depends_on_each_variable(small: SmallImage) -> None:
    other = signature_list(uuid.UUID(int=7), b"another certificate")
    own = signature_list(OWNER, small.key.der)
    machines = [_machine(small.key.der)]
    machines += [_machine(small.key.der, **{name: other}) for name in ("PK", "KEK", "dbx")]
    machines.append(_machine(small.key.der, db=own + other))
    values = {predict(small.signed.read_bytes(), one).pcrs()[7] for one in machines}
    assert len(values) == len(machines)


def test_a_db_without_the_signer_is_refused(small: SmallImage) -> None:
    machine = _machine(small.key.der, db=signature_list(OWNER, b"another certificate"))
    with pytest.raises(SecureBootError, match="db does not have"):
        predict(small.signed.read_bytes(), machine)


@given(st.binary(max_size=120))
def test_any_bytes_are_signature_lists_or_refused(data: bytes) -> None:
    machine = SecureBoot(variables={"PK": b"", "KEK": b"", "db": data, "dbx": b""}, signer=b"x")
    with pytest.raises(SecureBootError):
        list(machine.digests())


# ---- the command


def test_the_command_prints_values_pins_and_events(
    small: SmallImage, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = signature_list(OWNER, small.key.der)
    for name in ("PK", "KEK", "db"):
        (tmp_path / f"{name}.esl").write_bytes(own)
    options = ["--secure-boot", str(tmp_path), "--certificate", str(small.key.folder / "db.pem")]
    found = predict(small.signed.read_bytes(), SecureBoot.read(tmp_path, small.key.der))
    assert main([str(small.signed), *options]) == 0
    toml = capsys.readouterr().out
    assert all(f'{pcr} = ["{value.hex()}"]' in toml for pcr, value in found.pcrs().items())
    assert "[[attestation.reference_values.boot_images]]" in toml
    assert main([str(small.signed), *options, "--pins"]) == 0
    assert [line.split()[1] for line in capsys.readouterr().out.splitlines()] == [
        f"{claim}={value}" for claim, value in pins(found).items()
    ]
    assert main([str(small.signed), "--events"]) == 0
    assert "PCR 11" in capsys.readouterr().out


def test_the_command_names_the_file_that_it_cannot_use(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "no.efi").write_bytes(b"no image")
    assert main([str(tmp_path / "no.efi")]) == 2
    assert "no.efi: no PE file" in capsys.readouterr().err


def test_an_image_for_debugging_gets_no_values_and_no_pins(
    debug: SmallImage, capsys: pytest.CaptureFixture[str]
) -> None:
    for options in ([], ["--pins"]):
        assert main([str(debug.signed), *options]) == 2
        said = capsys.readouterr()
        assert (said.out, "flavour debug: check E61 refuses it" in said.err) == ("", True)
    assert main([str(debug.signed), "--events"]) == 0
    assert "PCR 11" in capsys.readouterr().out


def test_an_image_of_the_engine_gets_values_and_no_pins(
    of_engine: SmallImage, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its operator may compare it; no key is released to it."""
    assert main([str(of_engine.signed), "--pins"]) == 2
    said = capsys.readouterr()
    assert (said.out, "flavour engine: no key is released to it" in said.err) == ("", True)
    assert main([str(of_engine.signed)]) == 0
    assert "cji.flavour=engine" in capsys.readouterr().out
