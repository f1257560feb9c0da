"""Which module a process uses: the probe in every situation that this machine can make, and what each leads to."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from cji_core.errors import StartupError
from cji_core.fips import CERTIFIED, NOT_VALIDATED, CryptoModule, Mode, certificate, mapped_modules, require_usable
from cji_worker.launch import command
from tests.support.fips import configured, debian_module
from tests.support.paths import PACKAGES, ROOT

SYSTEM_PYTHON = "/usr/bin/python3"
"""Its cryptography uses the system's OpenSSL, as a build from source does."""
VALIDATED = CryptoModule(
    name="OpenSSL FIPS Provider", version="3.1.2", certificate="4985", mode=Mode.APPROVED, file="/fips.so"
)


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return configured(tmp_path_factory.mktemp("fips"))


def probe(python: list[str], environment: dict[str, str]) -> CryptoModule:
    done = subprocess.run(
        python,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(PACKAGES["core"].parent), **environment},
        cwd=ROOT,
        capture_output=True,
        check=True,
        text=True,
    )
    found = json.loads(done.stdout)
    return CryptoModule(**{**found, "mode": Mode(found["mode"])})


def by_system(environment: dict[str, str]) -> CryptoModule:
    return probe([SYSTEM_PYTHON, "-B", "-m", "cji_core.fips"], environment)


def test_debians_module_is_approved_but_not_validated(environment: dict[str, str]) -> None:
    found = by_system(environment)
    assert (found.name, found.mode, found.file) == ("OpenSSL FIPS Provider", Mode.APPROVED, str(debian_module()))
    assert found.version.startswith("3.5.")
    assert found.certificate == NOT_VALIDATED
    with pytest.raises(StartupError, match="not one of the certified ones"):
        require_usable(found, require_fips=True)
    require_usable(found, require_fips=False)


def test_without_a_module_nothing_is_claimed() -> None:
    found = by_system({})
    assert (found.name, found.mode, found.file) == ("OpenSSL", Mode.NOT_APPROVED, "")
    with pytest.raises(StartupError, match="no FIPS module is in force"):
        require_usable(found, require_fips=True)
    require_usable(found, require_fips=False)


def test_wheel_beside_another_openssl_is_broken(environment: dict[str, str]) -> None:
    """A provider serves one libcrypto of a process; the flag of cryptography is set all the same."""
    found = probe(command("cji_core.fips"), environment)
    assert found.mode is Mode.BROKEN
    for required in (False, True):
        with pytest.raises(StartupError, match="not all operations run in it"):
            require_usable(found, require_fips=required)


def test_configuration_without_its_modules_is_broken(environment: dict[str, str]) -> None:
    """OPENSSL_CONF alone: `is_fips_enabled` is true and every operation fails."""
    found = probe(command("cji_core.fips"), {"OPENSSL_CONF": environment["OPENSSL_CONF"]})
    assert found.mode is Mode.BROKEN


@pytest.mark.parametrize("code", ["hashes.Hash(hashes.MD5())", "hashlib_md5()", "ChaCha20Poly1305(bytes(32))"])
def test_module_that_permits_one_forbidden_algorithm_is_broken(code: str, environment: dict[str, str]) -> None:
    """Each forbidden algorithm counts by itself: two are refused, and one succeeds."""
    patch = {
        "hashes.Hash(hashes.MD5())": "fips.hashes.MD5 = fips.hashes.SHA384",
        "hashlib_md5()": "fips._hashlib = type('H', (), dict(vars(fips._hashlib), new=staticmethod(new)))",
        "ChaCha20Poly1305(bytes(32))": "fips.ChaCha20Poly1305 = fips.AESGCM",
    }[code]
    program = (
        "import _hashlib\nfrom cji_core import fips\nreal = _hashlib.new\n"
        "def new(name, *data): return real('sha384' if name == 'md5' else name, *data)\n"
        f"{patch}\nprint(fips.module_in_force().mode.value)"
    )
    done = subprocess.run(
        [SYSTEM_PYTHON, "-B", "-c", program],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(PACKAGES["core"].parent), **environment},
        cwd=ROOT,
        capture_output=True,
        check=True,
        text=True,
    )
    assert done.stdout.strip() == "broken"


OPERATIONS = ("AESGCM", "HKDF", "rsa.generate_private_key", "ec.generate_private_key", "hashes.Hash")


@pytest.mark.parametrize("name", OPERATIONS)
def test_module_in_which_one_operation_fails_is_broken(name: str, environment: dict[str, str]) -> None:
    program = (
        "from cji_core import fips\n"
        "def fail(*_, **__): raise fips.UnsupportedAlgorithm('none')\n"
        f"fips.{name} = fail\nprint(fips.module_in_force().mode.value)"
    )
    done = subprocess.run(
        [SYSTEM_PYTHON, "-B", "-c", program],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(PACKAGES["core"].parent), **environment},
        cwd=ROOT,
        capture_output=True,
        check=True,
        text=True,
    )
    assert done.stdout.strip() == "broken"


def test_certified_module_is_accepted() -> None:
    require_usable(VALIDATED, require_fips=True)


@pytest.mark.parametrize("mode", [Mode.NOT_APPROVED, Mode.BROKEN])
def test_certified_module_must_be_in_force(mode: Mode) -> None:
    with pytest.raises(StartupError):
        require_usable(replace(VALIDATED, mode=mode), require_fips=True)


@pytest.mark.parametrize(
    ("name", "version", "expected"),
    [
        ("OpenSSL FIPS Provider", "3.1.2", "4985"),
        ("AWS-LC FIPS", "2.0.0", "4816"),
        ("AWS-LC FIPS", "3.1.0", "5314"),
        ("OpenSSL FIPS Provider", "3.1.20", NOT_VALIDATED),
        ("OpenSSL FIPS Provider", "3.5.9", NOT_VALIDATED),
        ("OpenSSL", "3.1.2", NOT_VALIDATED),
        ("", "", NOT_VALIDATED),
    ],
)
def test_certificate_is_of_exactly_one_module(name: str, version: str, expected: str) -> None:
    assert certificate(name, version) == expected


def test_every_row_has_its_source() -> None:
    assert len({(each.name, each.version) for each in CERTIFIED}) == len(CERTIFIED)
    assert all(each.certificate in each.source for each in CERTIFIED)


def test_this_process_maps_no_module() -> None:
    assert mapped_modules() == frozenset()


def test_another_source_is_not_built(tmp_path: Path) -> None:
    """The recipe refuses every source but the validated one, before it unpacks anything."""
    source = tmp_path / "openssl-3.1.2.tar.gz"
    source.write_bytes(b"not the release")
    build = [ROOT / "deploy/fips/build", tmp_path / "prefix", source]
    done = subprocess.run(build, capture_output=True, check=False, text=True)
    assert done.returncode == 1
    assert "only the validated source" in done.stderr
    assert not (tmp_path / "prefix").exists()


def test_probe_runs_as_the_processes_of_a_worker_do() -> None:
    found = probe(command("cji_core.fips"), {})
    assert (found.name, found.mode) == ("OpenSSL", Mode.NOT_APPROVED)
    assert sys.executable in command("cji_core.fips")
