"""Workers of one pool: the files of the first, under another name, with other sockets and another port."""

import re
import shutil
from dataclasses import replace
from pathlib import Path

from cji_simulator.launch import Deployment
from cji_simulator.ports import free_port

__all__ = ["another_member"]

_OWN = ("state", "fleet", "*.log", "*.door", "*.sock")
"""Files that a worker makes; another one starts without them."""


def another_member(first: Deployment, home: Path, *, front: Path, port: int | None = None) -> Deployment:
    """Write the files of one more worker into `home`, whose name ends with its number; `front` is its socket.

    `port=None` takes one that nobody has.
    """
    shutil.copytree(first.folder, home, ignore=shutil.ignore_patterns(*_OWN))
    (home / "state").mkdir(mode=0o700)
    port, number = port or free_port(), home.name.rpartition("-")[2]
    files = replace(
        first,
        folder=home,
        config=home / "worker.toml",
        policy=home / "policy.toml",
        audit=home / "state" / "audit.jsonl",
        profile=home / "client" / "client.toml",
        hybrid_recipient=home / "client" / first.hybrid_recipient.name,
        target=f"127.0.0.1:{port}",
    )
    text = files.config.read_text()
    text = re.sub(r"(?m)^port = \d+", f"port = {port}", text)
    text = re.sub(r'(?m)^socket = ".*"', f'socket = "{front}"', text, count=1)
    files.config.write_text(re.sub(r'(?m)^id = "worker-\d+"', f'id = "worker-{number}"', text))
    profile = files.profile.read_text()
    files.profile.write_text(re.sub(r'(?m)^target = ".*"', f'target = "{files.target}"', profile))
    return files
