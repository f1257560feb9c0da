"""Configuration is read whole or not at all; the log takes known fields of known kinds and nothing else."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from cji_core.errors import StartupError
from cji_core.format.configuration.worker import load, with_files
from cji_core.log import FIELDS, log
from tests.support.worker_configs import WORKER_CONFIG


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "worker.toml"
    path.write_text(text)
    return path


def test_a_sound_file_is_read_and_its_names_are_relative_to_it(tmp_path: Path) -> None:
    config = load(write(tmp_path, WORKER_CONFIG))
    assert config.policy_file == str(tmp_path / "policy.toml")
    assert config.audit_file == "/var/lib/cji/audit.jsonl"
    assert config.listen.private_key == str(tmp_path / "server.key")
    assert len(config.sha384) == 96
    assert load(write(tmp_path, WORKER_CONFIG + "# more\n")).sha384 != config.sha384


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('cloud = "azure-us"', 'cloud = "azure-us"\ninsecure = true'),
        ('cloud = "azure-us"', 'cloud = "azure-us"\nsha384 = "00"'),
        ('cloud = "azure-us"', 'cloud = "azure-us"\npolicy_signatures = 1'),
        ('cloud = "azure-us"', 'cloud = "azure-us"\npolicy_signers = ["a", "b"]'),
        ('cloud = "azure-us"', 'cloud = "azure-us"\npolicy_signers = ["a", "a"]\npolicy_signatures = 2'),
        ('cloud = "azure-us"', ""),
        ('cloud = "azure-us"', 'cloud = ""'),
        ("[worker]", "[worker]\nsimulated = true"),
        ("[worker]", "[worker]\ncells = 0"),
        ("[worker]", '[worker]\ncells = "2"'),
        ("[worker]", "[worker]\ncells = 65"),
        ("[worker]", "[worker]\ncell_memory_mib = 100"),
        ("[worker]", "[worker]\ncell_memory_mib = 130"),
        ("[listen]", "[listen]\nport = 65536"),
        ("[listen]", "[listen]\nreflection = true"),
        ('client_roots = "roots.pem"', ""),
        ("[attestation]", "[attestation]\nkey_lifetime_s = 3601"),
        ("[attestation]", "[attestation]\nkey_lifetime_s = 1"),
        ("[[keys]]", "[[keys]]\nlocal = true"),
        (WORKER_CONFIG[WORKER_CONFIG.index("[[keys]]") :], ""),
        (WORKER_CONFIG[WORKER_CONFIG.index("[[keys]]") :], "keys = []"),
        ('"Genoa"', '"Genoa'),
    ],
)
def test_anything_else_is_unfit(tmp_path: Path, old: str, new: str) -> None:
    assert old in WORKER_CONFIG
    with pytest.raises(StartupError):
        load(write(tmp_path, WORKER_CONFIG.replace(old, new)))


@pytest.mark.parametrize(
    "ranges",
    [
        '["10.0.0.0/8"]', '["0.0.0.0/0"]', '["20.190.128.1/18"]', '["20.190.128.0"]', '["169.254.169.254/32"]',
        '["168.63.0.0/16"]', '["20.190.128.0/18", "20.190.130.0/24"]', '["300.1.1.1/32"]', '["2603:1006:2000::/48"]',
        '["172.0.0.0/8"]', '["100.0.0.0/8"]', '["169.0.0.0/8"]', '["224.0.0.0/8"]',
        '["20.0.0.0/8"]', '["20.190.0.0/15"]',
    ],
)  # fmt: skip
def test_only_public_ranges_apart_may_be_opened(tmp_path: Path, ranges: str) -> None:
    path = tmp_path / "worker.toml"
    path.write_text(f'egress = ["20.190.128.0/18", "40.126.0.0/18"]\n{WORKER_CONFIG}')
    assert len(load(path).egress) == 2
    path.write_text(f"egress = {[f'20.{each}.0.0/16' for each in range(4)]}\n{WORKER_CONFIG}")
    assert len(load(path).egress) == 4
    path.write_text(f"egress = {ranges}\n{WORKER_CONFIG}")
    with pytest.raises(StartupError, match="is not valid"):
        load(path)


def test_no_file_and_no_text_are_unfit(tmp_path: Path) -> None:
    with pytest.raises(StartupError):
        load(tmp_path / "missing.toml")
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe" + WORKER_CONFIG.encode())
    with pytest.raises(StartupError):
        load(tmp_path / "bytes.toml")


NAMED = (
    'reference_values = { products = ["Genoa"], acceptances = [{ file = "a.jws" }], '
    'amd_crls = { Genoa = { file = "x/g" } } }'
)


def naming(values: str = NAMED) -> str:
    return WORKER_CONFIG.replace('reference_values = { products = ["Genoa"] }', values)


def test_reference_values_name_files(tmp_path: Path) -> None:
    (tmp_path / "a.jws").write_bytes(b"signed")
    (tmp_path / "x").mkdir()
    (tmp_path / "x/g").write_bytes(b"\xff\x00")
    values = load(write(tmp_path, naming())).attestation.values()
    assert values == {"products": ["Genoa"], "acceptances": ["c2lnbmVk"], "amd_crls": {"Genoa": "/wA="}}
    other = with_files({"floors": {"file": 1, "Genoa": {"file": "a", "x": "b"}}, "file": "a.jws", "n": None}, tmp_path)
    assert other == {"floors": {"file": 1, "Genoa": {"file": "a", "x": "b"}}, "file": "a.jws", "n": None}


def test_a_file_that_is_missing_or_too_long_is_no_default(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "x/g").write_bytes(b"list")
    with pytest.raises(StartupError, match=r"a\.jws, which a reference value names, cannot be read"):
        load(write(tmp_path, naming()))
    (tmp_path / "a.jws").write_bytes(bytes((2 << 20) - 3))
    with pytest.raises(StartupError, match="have more than 2 MiB"):
        load(write(tmp_path, naming()))
    (tmp_path / "a.jws").write_bytes(bytes((2 << 20) - 4))
    load(write(tmp_path, naming()))


def test_an_environment_variable_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path, WORKER_CONFIG)
    before = load(path)
    for name in ("CJI_CLOUD", "CLOUD", "WORKER_ID", "CJI_SIMULATED", "CJI_CONFIG"):
        monkeypatch.setenv(name, "simulation")
    assert load(path) == before


def test_a_line_is_json_with_its_fields(capsys: pytest.CaptureFixture[str]) -> None:
    log("refused", reason="EXPIRED", rows=3)
    line = json.loads(capsys.readouterr().err)
    assert {k: line[k] for k in ("event", "reason", "rows")} == {"event": "refused", "reason": "EXPIRED", "rows": 3}


@pytest.mark.parametrize(
    "fields",
    [
        {"message": "SMITH"},
        {"exception": "SMITH"},
        {"reason": 3},
        {"rows": "SMITH"},
        {"rows": True},
        {"reason": b"SMITH"},
    ],
    ids=str,
)
def test_l01_other_fields_and_other_kinds_are_a_fault(
    fields: dict[str, str | int], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(TypeError) as error:
        log("event", **fields)
    assert "SMITH" not in str(error.value)
    assert capsys.readouterr().err == ""


def test_a_line_stays_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    log("x", what='two\nlines\u2028"')
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert set(FIELDS.values()) == {str, int}


_REPORTS: Final = {
    "callback": "loop = asyncio.new_event_loop(); loop.call_soon(fail); loop.call_soon(loop.stop); loop.run_forever()",
    "task": "asyncio.new_event_loop().run_until_complete(forgotten())",
    "logger": "logging.getLogger('grpc').warning('of %s', 'SMITH')",
    "thread": "thread = threading.Thread(target=fail); thread.start(); thread.join()",
    "finalizer": "value = type('Value', (), {'__del__': lambda self: fail()})(); del value",
    "warning": "warnings.warn('of SMITH', RuntimeWarning)",
    "end": "fail()",
}
"""What Python itself prints to stderr, several lines and the text of the exception for most."""


@pytest.mark.parametrize("report", _REPORTS)
def test_l01_what_python_prints_is_an_event_without_its_text(tmp_path: Path, report: str) -> None:
    """A line of worker.log was not JSON: asyncio's report of a callback that met the end of the front."""
    program = tmp_path / "program.py"
    program.write_text(
        "import asyncio, gc, logging, threading, warnings\nfrom cji_core.log import events_only\n"
        "def fail():\n    raise OSError('of SMITH')\n"
        "async def forgotten():\n    asyncio.ensure_future(failing()); await asyncio.sleep(0.01); gc.collect()\n"
        f"async def failing():\n    fail()\nevents_only()\n{_REPORTS[report]}\n"
    )
    ran = subprocess.run([sys.executable, program], stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    (line,) = [json.loads(line) for line in ran.stderr.splitlines()]
    assert (line["event"], line.get("error")) in {
        ("fault", "OSError"),
        ("warning", "RuntimeWarning"),
        ("library", None),
    }
    assert line["what"].rpartition(":")[2].isdigit()
    assert "SMITH" not in ran.stderr


def test_a_cell_logs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    log("x")


@pytest.mark.parametrize("line", ['ml_kem_seed_file = "x"', f'ml_kem_thumbprint = "{"A" * 43}"'])
def test_a_seed_and_its_thumbprint_belong_together(tmp_path: Path, line: str) -> None:
    with pytest.raises(StartupError, match="belong together"):
        load(write(tmp_path, f"{WORKER_CONFIG}{line}\n"))


def test_a_file_that_is_too_long_is_refused_and_not_cut(tmp_path: Path) -> None:
    long = write(tmp_path, WORKER_CONFIG + "# " + "x" * (256 << 10) + "\n")
    with pytest.raises(StartupError, match="larger than 256 KiB"):
        load(long)
