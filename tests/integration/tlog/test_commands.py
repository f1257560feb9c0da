"""The log, a second agency's witness and the monitor as processes, set up by their commands alone."""

import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

CJI = (sys.executable, "-m", "cji_core.command")


def cji(*arguments: str | Path, status: int = 0) -> str:
    done = subprocess.run([*CJI, *map(str, arguments)], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == status, done.stderr
    return done.stdout


@contextmanager
def process(*arguments: str | Path) -> Iterator[None]:
    """A server, from its line `listening` until SIGTERM."""
    environment = os.environ | {"PYTHONUNBUFFERED": "1"}
    server = subprocess.Popen([*CJI, *map(str, arguments)], stdout=subprocess.PIPE, text=True, env=environment)
    try:
        assert server.stdout is not None
        assert select.select([server.stdout], [], [], 60)[0]
        assert server.stdout.readline().startswith("listening on ")
        yield
    finally:
        server.send_signal(signal.SIGTERM)
        assert server.wait(30) == 0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Everything that docs/witnesses.md has one set up, for one witness of another agency."""
    log, witness = free_port(), free_port()
    keys = json.loads(cji("log", "key", "log.pd.example/trails", "-o", tmp_path / "log.key", "--json"))["vkeys"]
    made = json.loads(cji("witness", "key", "w.sheriff.example/1", "-o", tmp_path / "witness.key", "--json"))["vkeys"]
    cji("key", "new-signing", tmp_path / "operator.key")
    jwk = json.loads(cji("key", "show", tmp_path / "operator.key", "--json"))["jwk"]
    for name in ("reader", "submitter"):
        (tmp_path / f"{name}.token").write_text(name * 8)
    (tmp_path / "witness.toml").write_text(
        f'key_file = "witness.key"\nstate = "witness.db"\nport = {witness}\n'
        f'[[logs]]\norigin = "log.pd.example/trails"\nkeys = {json.dumps(keys)}\n'
    )
    (tmp_path / "policy.toml").write_text(
        f'origin = "log.pd.example/trails"\nurl = "http://127.0.0.1:{log}/trails"\nkeys = {json.dumps(keys)}\n'
        f"operators = [{json.dumps(jwk)}]\nquorum = 1\nfaulty = 0\n"
        f'[[witnesses]]\nname = "sheriff"\nurl = "http://127.0.0.1:{witness}"\nkeys = {json.dumps(made)}\n'
    )
    (tmp_path / "log.toml").write_text(
        f'policy = "policy.toml"\nkey_file = "log.key"\nstate = "log.db"\nport = {log}\n'
        'reader_token_file = "reader.token"\nsubmitter_token_file = "submitter.token"\n'
    )
    return tmp_path


def test_the_commands_make_a_log_and_its_next_policy(folder: Path) -> None:
    told = ("--policy", folder / "policy.toml", "--token-file", folder / "reader.token")
    by = ("--operator", "jdoe", "--explanation", "yearly rotation", "--key", folder / "operator.key")
    new = json.loads(cji("log", "key", "log.pd.example/trails", "-o", folder / "log-2.key", "--json"))["vkeys"]
    text = (folder / "policy.toml").read_text().splitlines()
    text[2] = f"keys = {json.dumps(new)}"
    (folder / "policy-2.toml").write_text("\n".join(text))
    with (
        process("witness", "serve", "--config", folder / "witness.toml"),
        process("log", "serve", "--config", folder / "log.toml"),
    ):
        change = ("--new", folder / "policy-2.toml", "-o", folder / "change.json")
        cji("log", "change-policy", *told, *by, *change)
        shown = cji("log", "monitor", *told, "--state", folder / "m.db", "--export", folder / "tiles", "--json")
        assert json.loads(shown)["size"] == 1
        assert not cji("log", "decide", "0" * 96, *told, *by, status=2)
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
    assert not cji(*monitor, status=4)  # nobody answers
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
        cji("witness", "status", "--config", folder / "witness.toml", status=1)  # the server has the state


def _on_loopback(folder: Path) -> Path:
    path = folder / "loopback.toml"
    path.write_text((folder / "witness.toml").read_text().replace('host = "0.0.0.0"\n', ""))
    return path
