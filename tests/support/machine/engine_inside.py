"""As root inside the booted image of the engine: `python inside.py prepare` puts the files of the test's disk where a
bundle and the agency's authority would, with their owners. It changes no rule of the firewall.
"""

import shutil
import signal
import sys
from pathlib import Path

DISK = Path(__file__).parent
CONFIG, ENGINE = Path("/run/cji/config"), Path("/run/cji-engine")


def prepare() -> None:
    """The configuration, and the certificates for which the test stands."""
    shutil.copytree(DISK / "config", CONFIG, copy_function=shutil.copyfile)
    shutil.copytree(DISK / "engine", ENGINE, copy_function=shutil.copyfile)
    for path in (ENGINE, *ENGINE.iterdir()):
        shutil.chown(path, "cji-door", "cji-door")
        path.chmod(0o700 if path.is_dir() else 0o600)
    for path in (CONFIG, *CONFIG.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)


if __name__ == "__main__":
    if sys.argv[1] == "prepare":
        prepare()
    else:
        signal.pause()
