"""`cji`: run a worker, send it jobs, verify receipts, make keys, check a machine. One file per verb.

`build` makes the command for a set of trusts; `main` builds in those of production. The `cloud` of a profile or worker
selects one by name; a name that is not built in is refused.

Exit status
    0  success
    1  refused by the worker, or the machine cannot run one
    2  unusable command line, file, spec or key; nothing was sent
    3  evidence, receipt or result failed a check: do not trust it
    4  no answer, or a temporary refusal: the same command may succeed later
"""

import os
import sys
from importlib.util import find_spec

import click

from cji_attestation import AZURE_US, AZURE_USGOV, Trust
from cji_core.command.refusals import Command

__all__ = ["build", "main"]

_HELP = """Confidential worker for Criminal Justice Information.

\b
A submitter's first job:
  cji key new-signing signing.key          # give the public key to the worker's operator
  cji key new-recipient recipient.key      # opens results; the job spec names the public key
  cji key project study-17 study-17.json   # lets tokens of one project join across jobs
  cji job run people.csv --spec job.toml --profile client.toml --out result/
  cji job seal people.csv --job people.job --spec job.toml --profile client.toml    # `send` and `open`: elsewhere
  cji job submit people.csv --job people.job --spec job.toml --profile client.toml    # to a pool, by reference
  cji ledger find results/ --sid GA0001    # who received records about this person?
  cji link evaluate result/ --labels sample.csv    # how good was a job with link?

\b
An operator's first start:
  cji policy lint policy.json              # which machines may receive the key?
  cji provider policy show URL             # under which policy are tokens issued?
  cji advisories show                      # what is open on which machines, and who accepted it?
  cji door config --config worker.toml     # for nginx, in front of the worker
  cji policy check policy.toml             # who may do what, and until when?
  cji bundle make config/ --serial 1 -o pool.bundle    # how a worker of the image gets its configuration
  cji doctor --config worker.toml
  cji doctor --azure --export export.json  # does a deployment match deploy/?
  cji serve --config worker.toml
  cji fleet run --config worker.toml       # jobs by reference, beside `serve`
  cji status --config worker.toml
  cji console --config console.toml        # a page and metrics, on this machine only
  cji probe                                # readiness, for Azure's load balancer
  cji reload --config worker.toml          # policy, authorities and revocation lists, without a restart
  cji support bundle --trail audit.log --out support.json    # facts for whoever helps, without records and names
  cji renew --config worker.toml           # attest and request the keys now, after a change to them

\b
An auditor's copy of a trail:
  cji audit verify audit.log --checkpoint kept.checkpoint --evidence evidence.json
  cji audit search audit.log --kind job_refused --since 2026-11-23
  cji audit prove audit.log --job 6b1f0c1e2d3a4b5c6d7e8f9001122334 -o proof.json

\b
Exit status: 0 success, 1 refused, 2 unusable input, 3 verification failed, 4 try again later.
"""


_VERBS = {
    "serve": "serve",
    "fleet": "fleet",
    "status": "control",
    "reload": "control",
    "renew": "control",
    "console": "console",
    "probe": "probe",
    "audit": "audit",
    "job": "job",
    "result": "result",
    "receipt": "receipt",
    "worker": "worker",
    "evidence": "evidence",
    "advisories": "advisories",
    "crl": "crl",
    "key": "key",
    "ledger": "ledger",
    "link": "link",
    "policy": "policy",
    "provider": "provider",
    "schema": "schema",
    "clear": "clear",
    "manifest": "manifest",
    "bundle": "bundle",
    "door": "door",
    "doctor": "doctor",
    "support": "support",
    "completion": "manual",
    "man": "manual",
}


def _help() -> str:
    """The help, without examples of verbs that are not installed."""

    def applies(line: str) -> bool:
        return not line.startswith("  cji ") or find_spec(f"{__name__}.{_VERBS[line.split()[1]]}") is not None

    paragraphs = ["\n".join(filter(applies, paragraph.splitlines())) for paragraph in _HELP.split("\n\n")]
    return "\n\n".join(paragraph for paragraph in paragraphs if not paragraph.endswith(":"))


def build(*trusts: Trust) -> click.Group:
    """The command, with these trusts and no others."""

    @click.group(
        cls=Command,
        package=__name__,
        verbs=_VERBS,
        help=_help(),
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    @click.version_option(package_name="cji-client")
    @click.pass_context
    def cji(context: click.Context) -> None:
        os.environ.setdefault("TSS2_LOG", "all+none")  # the TPM's library would print what a verb explains itself
        context.obj = {trust.name: trust for trust in trusts}

    return cji


def main() -> None:
    """Entry point of the `cji` script, with production roots only.

    A worker starts as all of its processes do: whatever `site` ran in this process is left behind by exec.
    """
    if sys.argv[1:2] == ["serve"] and not sys.flags.no_site and find_spec("cji_worker.launch"):
        from cji_worker.launch import command  # noqa: PLC0415 - of cji-worker alone, as the verb is

        os.execv(sys.executable, command("cji_core.command", *sys.argv[1:]))  # noqa: S606 - our own interpreter and module
    build(AZURE_US, AZURE_USGOV)(prog_name="cji")
