"""The log, a second agency's witness and the monitor as processes, set up by their commands alone."""

import json
from pathlib import Path

import pytest

from tests.support.tlog_commands import cji, next_policy, process, set_up, vkeys


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return set_up(tmp_path)


def test_the_commands_make_a_log_and_its_next_policy(folder: Path) -> None:
    told = ("--policy", folder / "policy.toml", "--token-file", folder / "reader.token")
    by = ("--operator", "jdoe", "--explanation", "yearly rotation", "--key", folder / "operator.key")
    next_policy(folder, vkeys("log", "key", "log.pd.example/trails", "-o", folder / "log-2.key"))
    with (
        process("witness", "serve", "--config", folder / "witness.toml"),
        process("log", "serve", "--config", folder / "log.toml"),
    ):
        change = ("--new", folder / "policy-2.toml", "-o", folder / "change.json")
        cji("log", "change-policy", *told, *by, *change)
        shown = cji("log", "monitor", *told, "--state", folder / "m.db", "--export", folder / "tiles", "--json")
        assert json.loads(shown)["size"] == 1
        cji("log", "decide", "0" * 96, *told, *by, status=2)
    accept = ("log", "accept", "--policy", folder / "policy.toml", folder / "policy-2.toml")
    assert "yearly rotation" in cji(*accept, folder / "change.json")
    (folder / "false.json").write_text((folder / "change.json").read_text().replace("yearly", "weekly"))
    cji(*accept, folder / "false.json", status=3)
    cji("log", "accept", "--policy", folder / "policy.toml", folder / "policy.toml", folder / "change.json", status=3)
    assert (folder / "tiles" / "checkpoint").read_text().startswith("log.pd.example/trails\n1\n")
    assert (folder / "tiles" / "tile" / "0" / "000.p" / "1").stat().st_size == 32
    status = json.loads(cji("witness", "status", "--config", folder / "witness.toml", "--json"))
    assert status == {"logs": [{"origin": "log.pd.example/trails", "size": 1}], "conflicts": []}


def test_the_commands_refuse_by_name(folder: Path) -> None:
    monitor = ("log", "monitor", "--policy", folder / "policy.toml", "--state", folder / "m.db")
    cji(*monitor, status=4)  # nobody answers
    cji("log", "key", "a b", "-o", folder / "x.key", status=2)
    cji("log", "key", "log.pd.example/trails", "-o", folder / "log.key", status=2)  # it is there
    (folder / "log.key").unlink()
    cji("log", "key", "log.pd.example/trails", "-o", folder / "log.key")
    cji("log", "serve", "--config", folder / "log.toml", status=2)  # other keys than the policy's
    (folder / "witness.toml").write_text(
        (folder / "witness.toml").read_text().replace("port", 'host = "0.0.0.0"\nport')
    )
    cji("witness", "serve", "--config", folder / "witness.toml", status=1)  # without a certificate
    with process("witness", "serve", "--config", _on_loopback(folder)):
        cji("witness", "serve", "--config", folder / "witness.toml", status=1)  # the other server has the state
        shown = json.loads(cji("witness", "status", "--config", folder / "witness.toml", "--json"))
        assert shown == {"logs": [], "conflicts": []}  # while it serves


def _on_loopback(folder: Path) -> Path:
    path = folder / "loopback.toml"
    path.write_text((folder / "witness.toml").read_text().replace('host = "0.0.0.0"\n', ""))
    return path
