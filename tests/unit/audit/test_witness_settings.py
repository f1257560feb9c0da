"""`[log]` of audit.toml: strict and closed. What is not as it should be is named."""

from pathlib import Path
from typing import Any

import pytest

from cji_core.errors import StartupError
from cji_core.trail.checkpoint import parse_checkpoint
from cji_core.trail.delivery import DeliveryFile, load_delivery
from cji_core.trail.witnesses.configured import log_destination, needs
from cji_core.trail.witnesses.keys import read_key, read_keys
from cji_core.trail.witnesses.settings import LogTable, log_table
from tests.support.tlog_site import a_policy, write_policy
from tests.support.witness_trails import Trail, keys_folder, new_key

TABLE: dict[str, object] = {"policy": "policy.toml", "token_file": "/token", "earlier_policies": ["policy-1.toml"]}
TEXT = """
trail = "audit.log"
state = "state"
receipt_keys = "keys"
[log]
policy = "policy.toml"
token_file = "token"
"""


def table_of(raw: dict[str, object]) -> LogTable | None:
    return log_table(DeliveryFile(trail="t", state="s", receipt_keys="keys", log=raw), folder=Path("/etc/cji"))


def test_paths_are_relative_to_the_folder() -> None:
    table = table_of(TABLE)
    assert table is not None
    assert (table.policy, table.token_file) == ("/etc/cji/policy.toml", "/token")
    assert table.earlier_policies == ("/etc/cji/policy-1.toml",)
    assert (table.ca_file, table.interval_seconds) == ("/etc/ssl/certs/ca-certificates.crt", 600)


@pytest.mark.parametrize(
    "changes",
    [
        {"policy": ""}, {"token_file": 1}, {"more": 1}, {"interval_seconds": 59}, {"interval_seconds": 86_401},
        {"earlier_policies": ["x"] * 17}, {"kind": "log"}, {"name": "log"},
    ],
)  # fmt: skip
def test_a_wrong_table_is_named(changes: dict[str, Any]) -> None:
    with pytest.raises(StartupError, match=r"\[log\]: "):
        table_of(TABLE | changes)


def test_from_the_file_to_the_destination(tmp_path: Path) -> None:
    path = tmp_path / "audit.toml"
    path.write_text(TEXT)
    write_policy(tmp_path / "policy.toml", a_policy(url="https://log.example/trails"))
    made = log_destination(load_delivery(path), folder=tmp_path)
    assert made is not None
    assert made.name == "log"
    found = needs(load_delivery(path), folder=tmp_path)
    files = ("keys", "policy.toml", "token", "/etc/ssl/certs/ca-certificates.crt")
    assert found.read == tuple(str(tmp_path / each) for each in files)
    assert found.urls == ("https://log.example/trails",)


def test_an_interval_above_the_published_delay_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "audit.toml"
    path.write_text(TEXT + "interval_seconds = 3600\n")
    write_policy(tmp_path / "policy.toml", a_policy(url="https://log.example/trails"))
    with pytest.raises(StartupError, match="delivers every 3600 s, and the policy allows 3600 s"):
        needs(load_delivery(path), folder=tmp_path)


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("[log]", '[[sinks]]\nname = "log"\n[log]', "a name of its own, which is not log"),
        ("[log]", "[[witnesses]]", "witnesses"),
    ],
)
def test_a_wrong_file_is_named(tmp_path: Path, old: str, new: str, why: str) -> None:
    (tmp_path / "audit.toml").write_text(TEXT.replace(old, new))
    with pytest.raises(StartupError, match=why):
        load_delivery(tmp_path / "audit.toml")


def test_a_file_without_a_key_holds_up_no_other(tmp_path: Path) -> None:
    trail = Trail(path=tmp_path / "audit.log")
    trail.write()
    folder = keys_folder(tmp_path / "keys", [new_key(), trail.key])
    checkpoint = parse_checkpoint(trail.checkpoint())
    (folder / ".hidden").write_text("x")
    for text in ("", "x", "{}", '{"receipt_jwk": "x"}', '{"receipt_jwk": 1}', "[" * 100_000):
        (folder / "0.json").write_text(text)
        assert read_keys(folder).judge(checkpoint) == "verified"
        with pytest.raises(StartupError, match="has no receipt key"):
            read_key(folder / "0.json")
    with pytest.raises(StartupError, match="cannot be read"):
        read_keys(tmp_path / "absent")
    with pytest.raises(StartupError, match="has no receipt key"):
        read_key(tmp_path / "absent")
