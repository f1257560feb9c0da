"""Debian's FIPS provider, configured as deploy/fips does it: a stand-in for the validated one, and not validated."""

import subprocess
from pathlib import Path

from tests.support.paths import ROOT

__all__ = ["configured", "debian_module"]


def debian_module() -> Path:
    """The provider of the package openssl-provider-fips."""
    found = sorted(Path("/usr/lib").glob("*/ossl-modules/fips.so"))
    assert found, "install openssl-provider-fips"
    return found[0]


def configured(folder: Path) -> dict[str, str]:
    """The two variables that select it."""
    subprocess.run([ROOT / "deploy/fips/configure", debian_module(), folder], check=True, capture_output=True)
    return dict(line.split("=", 1) for line in (folder / "environment").read_text().splitlines())
