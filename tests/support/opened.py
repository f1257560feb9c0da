"""The image's firewall with the public addresses of a configuration, in a network of its own; prints what was found.

`unshare --net python -m tests.support.opened`, as root. The parent compares.
"""

import json
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
    open_public(config)
    seen["closed"] = found(config)
    print(json.dumps(seen))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="cji-") as private:
        main(Path(private))
