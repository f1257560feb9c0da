"""`cji doctor` computes the load of each vault from the configuration."""

from pathlib import Path

import msgspec
import pytest

from cji_core.command.findings import NotOk
from cji_core.format.configuration.worker import Config, KeySection, load
from cji_worker.verbs.configured_checks import check_vault_load
from tests.support.paths import ROOT


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
