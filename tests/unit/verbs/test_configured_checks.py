"""`cji doctor` names each value of deploy/worker.example.toml that an operator has to replace, and no other value."""

import re
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner

from cji_attestation import AZURE_US
from cji_core.command import build
from cji_core.command.findings import Finding, NotOk
from cji_core.format.configuration.worker import load
from cji_worker.verbs.configured_checks import check_placeholders
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
