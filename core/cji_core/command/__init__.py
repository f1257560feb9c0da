"""`cji`: run a worker, send it jobs, verify receipts, make keys, check a machine. Each verb is of one distribution.

`build` makes the command for a set of trusts; `main` builds it for those of production. The `cloud` of a profile or
worker selects one by name; a name that is not built in is refused.

Exit status
    0  success
    1  refused by the worker, or the machine cannot run one
    2  unusable command line, file, spec or key; nothing was sent
    3  evidence, receipt or result failed a check: do not trust it
    4  no answer, or a temporary refusal: the same command may succeed later
    5  the job was sent, and this machine could not go on: the message states how the job stands, and what to do next
    128 and the number of the signal that ended it: 130 for Ctrl-C, 143 for SIGTERM
"""

import logging
import os
import sys
from collections.abc import Collection
from typing import Any

__all__ = ["build", "main"]


def _help(verbs: Collection[str]) -> str:
    """The help, without examples of verbs that are not installed; `verbs` are their names with dots."""
    from cji_core.command.groups import HELP  # noqa: PLC0415 - as in `main`

    def applies(line: str) -> bool:
        words = line.split()[1:3]
        return not line.startswith("  cji ") or words[0] in verbs or ".".join(words) in verbs

    paragraphs = ["\n".join(filter(applies, paragraph.splitlines())) for paragraph in HELP[""].split("\n\n")]
    return "\n\n".join(paragraph for paragraph in paragraphs if not paragraph.endswith(":"))


def build(*trusts: Any) -> Any:
    """The command, a click.Group. With `trusts` it knows these and no others, without them those of production."""
    import click  # noqa: PLC0415 - as in `main`

    from cji_core.command.refusals import Command  # noqa: PLC0415
    from cji_core.command.verbs import installed  # noqa: PLC0415

    verbs = installed()

    @click.group(
        cls=Command,
        verbs=verbs,
        help=_help(verbs),
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    @click.version_option(package_name="cji-core")
    @click.pass_context
    def cji(context: click.Context) -> None:
        os.environ.setdefault("TSS2_LOG", "all+none")  # the TPM's library would print what a verb explains itself
        context.obj = {trust.name: trust for trust in trusts}

    return cji


def main() -> None:
    """Entry point of the script `cji`, with production roots only."""
    try:
        import click  # noqa: F401, PLC0415
        import rich  # noqa: F401, PLC0415
    except ImportError:
        sys.exit("The command cji needs two more packages: pip install 'cji-core[cli]'")
    logging.disable()  # our errors report what failed; processes that stay count these
    build()(prog_name="cji")
