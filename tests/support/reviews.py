"""An operator's decisions as files and text: what `cji advisories` writes, and what a configuration names."""

import base64
import json
from pathlib import Path

from cji_attestation.appraisal import ReferenceValues
from cji_simulator.operator import operator
from cji_simulator.reference import toml
from tests.support.forge import decided

__all__ = ["decided_profile", "decided_toml"]


def decided_toml(machine: ReferenceValues | None = None, *, accepted: bool = True) -> str:
    """Lines of `[reference]` or `[attestation.reference_values]`: a table in force, and an acceptance of what is open.

    Without the acceptance where not `accepted`. `machine` has what identifies the machine: the tests' own by default.
    """
    table, acceptance = (base64.b64encode(one).decode() for one in (operator().table(), operator().acceptance()))
    signed = f'advisory_signers = [{json.dumps(operator().signer)}]\nadvisories = "{table}"\n'
    return signed + f'acceptances = ["{acceptance}"]\n' * accepted + toml(machine or decided())


def decided_profile(folder: Path, *, accepted: bool = True, machine: ReferenceValues | None = None) -> Path:
    """A client.toml with these reference values; the files that it names do not exist."""
    path = folder / ("decided.toml" if accepted else "undecided.toml")
    names = ("maa_url", "ca", "certificate", "private_key", "signing_key")
    head = "".join(f'{name} = "{name}"\n' for name in names)
    path.write_text(
        f'target = "localhost:1"\ncloud = "test"\n{head}[reference]\n{decided_toml(machine, accepted=accepted)}'
    )
    return path
