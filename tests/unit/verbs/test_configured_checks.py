"""`cji doctor` names each value of deploy/worker.example.toml that an operator has to replace, and no other value."""

import re
import tomllib
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from cji_attestation import AZURE_US
from cji_core.command import build
from cji_core.command.findings import Finding, NotOk
from cji_core.format.configuration.worker import Config, KeySection, load
from cji_worker.verbs.configured_checks import check_placeholders, check_vault_load
from tests.support.paths import ROOT
from tests.support.worker_configs import WORKER_CONFIG

EXAMPLE = (ROOT / "deploy" / "worker.example.toml").read_text()
CAPITALS = re.compile(r"(?<![\w-])[A-Z][A-Z-]{2,}(?![\w])")


def placeholders(text: str, folder: Path) -> list[str]:
    path = folder / "worker.toml"
    path.write_text(text)
    try:
        check_placeholders(load(path))
    except NotOk as error:
        return error.found.partition(": ")[2].split(", ")
    return []


def test_the_example_is_full_of_them(tmp_path: Path) -> None:
    assert placeholders(EXAMPLE, tmp_path) == [
        "attestation.client_id",
        "attestation.maa_url",
        "keys[0].kek_id",
        "keys[0].public_thumbprint",
        "worker.audience",
        "worker.id",
    ]


def test_placeholders_in_commented_sections_are_found(tmp_path: Path) -> None:
    section = re.search(r"^# \[fleet\]\n(?:# .*\n)+", EXAMPLE, re.MULTILINE)
    assert section is not None
    found = placeholders(EXAMPLE + re.sub("^# ", "", section[0], flags=re.MULTILINE), tmp_path)
    assert {"fleet.blob_url", "fleet.queue_url", "fleet.client_id", "ledger.blob_url", "ledger.client_id"} <= set(found)


def test_each_word_in_capitals_of_the_example_is_one(tmp_path: Path) -> None:
    """A new placeholder of the example must be known to the doctor."""

    def texts(key: str, value: object) -> list[tuple[str, str]]:
        match value:
            case dict():
                return [each for name, one in value.items() for each in texts(f"{key}.{name}" if key else name, one)]
            case list():
                return [each for at, one in enumerate(value) for each in texts(f"{key}[{at}]", one)]
            case str():
                return [(key, value)]
        return []

    capitals = {key for key, text in texts("", tomllib.loads(EXAMPLE)) if CAPITALS.search(text)}
    assert len(capitals) == 5
    assert capitals <= set(placeholders(EXAMPLE, tmp_path))


def test_a_finished_configuration_has_none(tmp_path: Path) -> None:
    assert placeholders(WORKER_CONFIG, tmp_path) == []
    lookalikes = WORKER_CONFIG.replace('"pool"', '"NAMES-VAULTED"').replace('"worker-1"', '"PROVIDER7"')
    assert placeholders(lookalikes, tmp_path) == []


FIT = "Fit to run. Next: systemctl enable --now cji-worker, or without systemd: cji serve --config "


NOT_FIT = "2 failed. Correct the first one, which others may follow from, and repeat: cji doctor --config "


@pytest.mark.parametrize(
    ("states", "named", "said"),
    [
        (["ok", "warning"], True, FIT),
        (["ok", "failed", "failed"], True, NOT_FIT),
        (["ok"], False, "The machine is fit. Next, with your configuration: cji doctor --config /etc/cji/worker.toml"),
        (["failed"], False, "1 failed. Correct the first one, which others may follow from, and repeat: cji doctor"),
    ],
)
def test_the_last_line_is_the_next_command(
    states: list[str], named: bool, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    findings = [Finding(name="x", state=state, found="", remedy="") for state in states]  # type: ignore[arg-type]
    monkeypatch.setattr("cji_worker.verbs.doctor.machine_checks", lambda **_: list(findings))
    monkeypatch.setattr("cji_worker.verbs.doctor.host_checks", lambda *_: [])
    monkeypatch.setattr("cji_worker.verbs.doctor.configured_checks", lambda *_: [])
    (tmp_path / "worker.toml").write_text(WORKER_CONFIG)
    options = ["--config", str(tmp_path / "worker.toml")] if named else []
    result = CliRunner().invoke(build(AZURE_US), ["doctor", *options])
    assert result.stdout.splitlines()[-1].startswith(said)
    assert result.exit_code == (1 if "failed" in states else 0)


@pytest.fixture(scope="module")
def config() -> Config:
    return load(ROOT / "deploy/worker.example.toml")


def sized(config: Config, *, workers: int, lifetime: int = 3600, **vaults: int) -> Config:
    """Versions by vault; the name `hsm` is a Managed HSM."""
    hosts = {name: f"{name}.{'managedhsm' if name == 'hsm' else 'vault'}.azure.net" for name in vaults}
    keys = tuple(
        KeySection(kek_id=f"https://{hosts[name]}/keys/cmk/{version:032x}", public_thumbprint="x")
        for name, versions in vaults.items()
        for version in range(versions)
    )
    section = msgspec.structs.replace(config.attestation, workers_per_vault=workers, key_lifetime_s=lifetime)
    return msgspec.structs.replace(config, attestation=section, keys=keys)


def test_the_example_is_within_the_limit(config: Config) -> None:
    assert check_vault_load(config) == "VAULT.vault.azure.net: 8 % for 100 workers × 1 key version(s) × 3600 s"


@pytest.mark.parametrize(("workers", "versions", "lifetime"), [(1260, 1, 3600), (630, 2, 3600), (315, 1, 900)])
def test_a_vault_at_its_limit_is_no_finding(config: Config, workers: int, versions: int, lifetime: int) -> None:
    assert "100 %" in check_vault_load(sized(config, workers=workers, lifetime=lifetime, one=versions))


@pytest.mark.parametrize(
    ("workers", "versions", "lifetime", "what"),
    [
        (1000, 2, 3600, "renewals wait"),
        (1300, 1, 3600, "renewals wait"),
        (1250, 2, 3600, "keys can run out"),
        (1000, 1, 900, "keys can run out"),
    ],
)
def test_more_is_a_warning_that_names_what_happens(
    config: Config, workers: int, versions: int, lifetime: int, what: str
) -> None:
    with pytest.raises(NotOk, match=what) as caught:
        check_vault_load(sized(config, workers=workers, lifetime=lifetime, one=versions))
    assert caught.value.state == "warning"
    assert "workers_per_vault" in caught.value.remedy


def test_each_vault_has_a_load_of_its_own_and_an_hsm_none(config: Config) -> None:
    found = check_vault_load(sized(config, workers=1000, one=1, two=1, hsm=5))
    assert found.count("79 %") == 2
    assert "hsm.managedhsm.azure.net: no limit known" in found
    with pytest.raises(NotOk, match="159 %"):
        check_vault_load(sized(config, workers=1000, one=1, two=2))


def test_the_number_of_workers_is_bounded(tmp_path: Path) -> None:
    text = (
        (ROOT / "deploy/worker.example.toml").read_text().replace("workers_per_vault = 100 ", "workers_per_vault = 0 ")
    )
    (tmp_path / "worker.toml").write_text(text)
    with pytest.raises(Exception, match="workers_per_vault"):
        load(tmp_path / "worker.toml")
