"""An operator's decisions as files and text: what `cji advisories` writes, and what a configuration names."""

import base64
import json
from pathlib import Path

from cji_simulator.operator import operator

__all__ = ["decided_profile", "decided_toml"]


def decided_toml() -> str:
    """Lines of `[reference]` or `[attestation.reference_values]` under which all that is open is accepted."""
    table, acceptance = (base64.b64encode(one).decode() for one in (operator().table(), operator().acceptance()))
    signer = json.dumps(operator().signer)
    return f'advisory_signers = [{signer}]\nadvisories = "{table}"\nacceptances = ["{acceptance}"]\n'


def decided_profile(folder: Path) -> Path:
    """A client.toml with these reference values; the files that it names do not exist."""
    path = folder / "decided.toml"
    names = ("maa_url", "ca", "certificate", "private_key", "signing_key")
    head = "".join(f'{name} = "{name}"\n' for name in names)
    path.write_text(f'target = "localhost:1"\ncloud = "test"\n{head}[reference]\n{decided_toml()}')
    return path
