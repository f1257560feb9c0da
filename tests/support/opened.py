"""The image's firewall with the public addresses of a configuration, in a network of its own; prints what was found.

`unshare --net python -m tests.support.opened`, as root. The parent compares.
"""

import json
import os
import re
import subprocess
import tempfile
from pathlib import Path

import msgspec

from cji_core.command.findings import NotOk
from cji_core.format.configuration.worker import Config
from cji_worker.door.egress import open_public, require_open
from tests.support.firewalled import worker
from tests.support.paths import ROOT

RULES = ROOT / "deploy" / "image" / "extra" / "etc" / "nftables.conf"
ENTRA, INTEL = ("20.190.128.0/18", "40.126.0.0/18"), "23.0.0.1/32"
_USER = re.compile(r"\b(cji(-[a-z]+)?|systemd-[a-z]+)\b(?= ip| tcp| udp| meta|,| \})")


def found(config: Config) -> str:
    """What the check says, or what it finds wrong."""
    try:
        return require_open(config)
    except NotOk as error:
        return f"not so: {error.found}"


def unprivileged(config: Config) -> str:
    """What a process sees that may not read the rules."""
    os.seteuid(65534)
    try:
        return found(config)
    finally:
        os.seteuid(0)


def main(folder: Path) -> None:
    """Load the rules, with numbers for users that only the image has, and fill the set."""
    config = worker(folder)
    entra = msgspec.structs.replace(config, egress=ENTRA)
    both = msgspec.structs.replace(config, egress=(*ENTRA, INTEL))
    seen = {"outside, none wanted": found(config), "outside, some wanted": found(entra)}
    open_public(config)
    subprocess.run(["nft", "-f", "-"], input=_USER.sub("7", RULES.read_text()), text=True, check=True)
    seen["empty"], seen["before"] = found(config), found(entra)
    for name, one in (("both", both), ("entra", entra)):
        open_public(one)
        seen[name] = found(one)
    seen["of another configuration"] = found(both)
    subprocess.run(["nft", "add", "element", "inet", "cji", "public", "{ 9.9.9.1-9.9.9.6 }"], check=True)
    seen["a range that nobody named"] = found(config)
    seen["without the right to read"] = unprivileged(config)
    open_public(config)
    seen["closed"] = found(config)
    print(json.dumps(seen))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="cji-") as private:
        main(Path(private))
