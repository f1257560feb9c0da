"""`python -m tests.support.machine FOLDER`: keys for a test build in FOLDER/keys, unless it has some.

With `--missing` instead of a folder: prints the packages without which no image can be booted here.

Never sign an image for use with them: whoever can read the folder can sign, too.
"""

import sys
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from cji_simulator.machine.firmware import Key, enrolled
from cji_simulator.machine.guest import missing_packages


def main() -> None:
    """Make them, or print them."""
    if sys.argv[1:] == ["--missing"]:
        print(*missing_packages())
        return
    folder = Path(sys.argv[1], "keys")
    if (folder / "cosign.key").exists():
        return
    key = Key.new(folder)
    enrolled([key.certificate], folder)
    made = ec.generate_private_key(ec.SECP256R1())
    (folder / "cosign.key").touch(mode=0o600)
    (folder / "cosign.key").write_bytes(
        made.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )


if __name__ == "__main__":
    main()
