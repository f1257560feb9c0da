"""A PKCS#11 token of SoftHSM in a folder."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

LIBRARY: Final = Path("/usr/lib/softhsm/libsofthsm2.so")
LABEL: Final = "agency"
PIN: Final = "1234"


@contextmanager
def softhsm(folder: Path) -> Iterator[Path]:
    """An empty token with the label and the PIN; programs find it by the environment. Gives SoftHSM's settings."""
    (folder / "tokens").mkdir()
    settings = folder / "softhsm2.conf"
    settings.write_text(f"directories.tokendir = {folder / 'tokens'}\nobjectstore.backend = file\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOFTHSM2_CONF", str(settings))
        init = ["softhsm2-util", "--init-token", "--free", "--label", LABEL, "--pin", PIN, "--so-pin", "5678"]
        subprocess.run(init, check=True, capture_output=True)
        yield settings
        _forget()


def _forget() -> None:
    """A library reads its settings once: the next token of this process is in another folder."""
    if (pkcs11 := sys.modules.get("pkcs11")) is not None and (loaded := pkcs11._loaded.get(str(LIBRARY))) is not None:
        loaded.finalize()
