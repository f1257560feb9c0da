"""The script `cji`, which needs the extra `cli`. It stands outside `cji_client`, whose names take a second to load."""

import sys


def main() -> None:
    """Entry point of the script."""
    try:
        import click  # noqa: F401, PLC0415
        import rich  # noqa: F401, PLC0415
    except ImportError:
        sys.exit("The command cji needs two more packages: pip install 'cji-client[cli]'")
    from cji_core.command import main as cji  # noqa: PLC0415

    cji()
