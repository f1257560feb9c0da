"""`python -m cji_deploy.byok`: wrap a key for a vault, without a network. deploy/byok/README.md has the whole way."""

import argparse
import getpass
import os
import sys
from pathlib import Path

from cji_deploy.byok import ByokError, load_kek, load_target, transfer_blob


def main(arguments: list[str]) -> int:
    """Exit code: 0 written, 1 refused."""
    parser = argparse.ArgumentParser(
        prog="python -m cji_deploy.byok",
        description="Wrap a private key for the key exchange key of a vault: the file for az keyvault key import.",
        epilog="example: python -m cji_deploy.byok --kek kek.pem --kid https://NAME.vault.azure.net/keys/kek/VERSION "
        "--key cmk.pem --out cmk.byok",
    )
    parser.add_argument("--kek", type=Path, required=True, help="public half of the KEK, PEM")
    parser.add_argument("--kid", required=True, help="address of the KEK, with its version")
    parser.add_argument("--key", type=Path, required=True, help="private key to transfer, PEM; may be encrypted")
    parser.add_argument("--passphrase", action="store_true", help="ask for the passphrase of the private key")
    parser.add_argument("--out", type=Path, required=True, help="file to write; it must not exist")
    options = parser.parse_args(arguments)
    passphrase = getpass.getpass("Passphrase of the key: ").encode() if options.passphrase else None
    try:
        blob = transfer_blob(
            load_kek(options.kek.read_bytes()), options.kid, load_target(options.key.read_bytes(), passphrase)
        )
        descriptor = os.open(options.out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(blob)
    except (ByokError, OSError) as error:
        print(f"refused: {error}", file=sys.stderr)
        return 1
    print(f"wrote {options.out}: import it before the KEK is deleted, then destroy every other copy of the key")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
