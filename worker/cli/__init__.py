"""`cji`: run a worker, send it jobs, verify receipts, make keys, ask whether a machine is fit. One file per verb.

`build` makes the command for a set of trusts; `main` is the one for production. Which of them a profile or a worker
means is its `cloud`, by the trust's name; a name that was not built in is refused.

Exit status
    0  done
    1  refused by the worker, or a machine that is not fit
    2  a command line, file, spec or key that cannot be used; nothing was sent
    3  evidence, receipt or result did not pass a check: do not trust it
    4  no answer, or not now: the same command may succeed later
"""

import click

from attestation import AZURE_US, AZURE_USGOV, Trust
from worker.cli.doctor import doctor
from worker.cli.evidence import evidence
from worker.cli.job import job
from worker.cli.key import key
from worker.cli.policy import policy
from worker.cli.provider import provider
from worker.cli.receipt import receipt
from worker.cli.schema import schema
from worker.cli.serve import serve

__all__ = ["build", "main"]

_HELP = """Confidential worker for Criminal Justice Information.

\b
A submitter's first job:
  cji key new-signing signing.key          # give the public half to the worker's operator
  cji key new-recipient recipient.key      # opens results; the job spec names its public half
  cji key project study-17 study-17.json   # makes tokens of one project join
  cji job run people.csv --spec job.toml --profile client.toml --out result/

\b
An operator's first start:
  cji policy lint policy.json              # which machines may get the key?
  cji provider policy show URL             # under which policy are tokens made?
  cji doctor --config worker.toml
  cji serve --config worker.toml

\b
Exit status: 0 done, 1 refused or unfit, 2 unusable input, 3 not verified, 4 try again later.
"""


def build(*trusts: Trust) -> click.Group:
    """The command, for worlds of these roots and no others."""

    @click.group(help=_HELP, context_settings={"help_option_names": ["-h", "--help"]})
    @click.version_option(package_name="cji-worker")
    @click.pass_context
    def cji(context: click.Context) -> None:
        context.obj = {trust.name: trust for trust in trusts}

    for command in (serve, job, receipt, evidence, key, policy, provider, schema, doctor):
        cji.add_command(command)
    return cji


def main() -> None:
    """Entry point of the `cji` script: production roots only."""
    build(AZURE_US, AZURE_USGOV)(prog_name="cji")
