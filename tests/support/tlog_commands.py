"""`cji log` and `cji witness` as a person types them, and their servers as processes."""

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

CJI = (sys.executable, "-m", "cji_core.command")


def cji(*arguments: str | Path, status: int = 0) -> str:
    """What a command prints; what it says of a refusal."""
    done = subprocess.run([*CJI, *map(str, arguments)], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == status, done.stderr
    return done.stderr if status else done.stdout


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


def vkeys(*arguments: str | Path) -> list[str]:
    """The keys that a command made or shows."""
    found: list[str] = json.loads(cji(*arguments, "--json"))["vkeys"]
    return found


def next_policy(folder: Path, keys: list[str]) -> None:
    """policy-2.toml: the log has these keys."""
    text = (folder / "policy.toml").read_text().splitlines()
    text[2] = f"keys = {json.dumps(keys)}"
    (folder / "policy-2.toml").write_text("\n".join(text))


def set_up(tmp_path: Path, *, log_token: str = "", witness_token: str = "") -> Path:
    """Everything that docs/witnesses.md has one set up, for one witness of another agency.

    The tokens are names of files for --pkcs11 in the folder.
    """
    log, witness = free_port(), free_port()
    option = {each: ("--pkcs11", tmp_path / each) if each else () for each in (log_token, witness_token)}
    setting = {each: f'pkcs11_file = "{each}"\n' if each else "" for each in (log_token, witness_token)}
    keys = vkeys("log", "key", "log.pd.example/trails", "-o", tmp_path / "log.key", *option[log_token])
    made = vkeys("witness", "key", "w.sheriff.example/1", "-o", tmp_path / "witness.key", *option[witness_token])
    cji("key", "new-signing", tmp_path / "operator.key")
    jwk = json.loads(cji("key", "show", tmp_path / "operator.key", "--json"))["jwk"]
    for name in ("reader", "submitter"):
        (tmp_path / f"{name}.token").write_text(name * 8)
    (tmp_path / "witness.toml").write_text(
        f'key_file = "witness.key"\n{setting[witness_token]}state = "witness.db"\nport = {witness}\n'
        f'[[logs]]\norigin = "log.pd.example/trails"\nkeys = {json.dumps(keys)}\n'
    )
    (tmp_path / "policy.toml").write_text(
        f'origin = "log.pd.example/trails"\nurl = "http://127.0.0.1:{log}/trails"\nkeys = {json.dumps(keys)}\n'
        f"operators = [{json.dumps(jwk)}]\nquorum = 1\nfaulty = 0\n"
        f'[[witnesses]]\nname = "sheriff"\nurl = "http://127.0.0.1:{witness}"\nkeys = {json.dumps(made)}\n'
    )
    (tmp_path / "log.toml").write_text(
        f'policy = "policy.toml"\nkey_file = "log.key"\n{setting[log_token]}state = "log.db"\nport = {log}\n'
        'reader_token_file = "reader.token"\nsubmitter_token_file = "submitter.token"\n'
    )
    return tmp_path
