"""`cji evidence`: show a machine's evidence, run every check on it, print its boot measurements. Uses no network.

`cji-client` has the verbs of whoever appraises a file; `cji-worker` adds those that need a TPM or read CBOR.
"""

import click

from cji_core.command.verbs import Verbs

_VERBS = {
    "show": "evidence_show",
    "verify": "evidence_verify",
    "collect": "evidence_collect",
    "import": "evidence_import:import_",
    "pcrs": "evidence_pcrs",
    "reference-values": "evidence_values:reference_values_of",
    "stamp": "evidence_stamp",
}


@click.group(cls=Verbs, package="cji_core.command", verbs=_VERBS)
def evidence() -> None:
    """Read and appraise a machine's evidence."""
