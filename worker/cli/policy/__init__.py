"""`cji policy`: who may run what on a worker, and which machines get its key. One file per verb.

check, explain, diff, test and sign are about the policy of a worker, docs/policy.md; build, lint and hash are about
release policies of keys and the policies of attestation providers. None uses a network.
"""

import click

from worker.cli.policy.build import build
from worker.cli.policy.check import check
from worker.cli.policy.diff import diff
from worker.cli.policy.explain import explain
from worker.cli.policy.hash import hash_command
from worker.cli.policy.lint import lint
from worker.cli.policy.sign import sign, signer
from worker.cli.policy.test import test


@click.group()
def policy() -> None:
    """Check, explain and sign the policy of a worker, and write the policies that decide who gets its key.

    \b
    The policy of a worker:                 check  explain  diff  test  sign  signer
    Release policies, attestation policies: build  lint  hash
    """  # noqa: D301 - \b is click\'s mark for text that it must not wrap


for _verb in (
    check,
    explain,
    diff,
    test,
    sign,
    signer,
    build,
    lint,
    hash_command,
):
    policy.add_command(_verb)
