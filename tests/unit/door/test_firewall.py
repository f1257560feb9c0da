"""What a check says of rules that it could not read: only a missing right is no failure."""

import json
import os
from pathlib import Path

import msgspec
import pytest

from cji_core.command.findings import NotOk
from cji_core.errors import StartupError
from cji_core.format.configuration.worker import Config, load
from cji_worker.door import firewall
from cji_worker.door.egress import require_open
from cji_worker.door.firewall import install, require_installed
from tests.support.worker_configs import WORKER_CONFIG

OURS = json.dumps({"nftables": [{"table": {"family": "inet", "name": "cji_door", "handle": 1}}]})
UNREADABLE = "failed" if os.geteuid() == 0 else "not run"


@pytest.fixture
def config(tmp_path: Path) -> Config:
    (tmp_path / "worker.toml").write_text(WORKER_CONFIG)
    config = load(tmp_path / "worker.toml")
    limits = msgspec.structs.replace(config.limits, connections_counted_by="firewall")
    return msgspec.structs.replace(config, limits=limits, egress=("20.190.128.0/18",))


def with_nft(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str | None) -> None:
    """Have the checks find this program in place of the machine's nft, or none."""
    (folder / "bin").mkdir()
    if script is not None:
        (folder / "bin" / "nft").write_text(f"#!/bin/sh\n{script}\n")
        (folder / "bin" / "nft").chmod(0o755)
    monkeypatch.setattr(firewall, "_PATH", str(folder / "bin"))


def outcome(config: Config) -> tuple[str, str]:
    with pytest.raises(NotOk) as raised:
        require_installed(config)
    return raised.value.state, raised.value.found


def test_a_limit_without_nft_is_a_failure(config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_nft(tmp_path, monkeypatch, None)
    state, found = outcome(config)
    assert state == "failed"
    assert "not installed" in found


@pytest.mark.parametrize(
    "script",
    [
        "exit 1",
        "echo nonsense",
        f"case \"$*\" in *tables*) echo '{OURS}' ;; *) exit 1 ;; esac",
        f"case \"$*\" in *tables*) echo '{OURS}' ;; *) echo [] ;; esac",
    ],
    ids=["refused", "not understood", "refused at last", "not understood at last"],
)
def test_rules_that_root_cannot_read_are_a_failure(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str
) -> None:
    with_nft(tmp_path, monkeypatch, script)
    state, found = outcome(config)
    assert state == UNREADABLE
    assert "cannot be read" in found
    with pytest.raises(NotOk) as raised:
        require_open(config)
    assert raised.value.state == UNREADABLE


def test_an_nft_that_does_not_end_is_an_error_of_its_own(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_nft(tmp_path, monkeypatch, "exec sleep 60")
    monkeypatch.setattr(firewall, "_SECONDS", 0.2)
    with pytest.raises(StartupError, match="does not answer"):
        install(config)
    assert outcome(config)[0] == UNREADABLE
