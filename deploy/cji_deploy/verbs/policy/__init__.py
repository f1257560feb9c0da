"""`cji policy`: who may run what on a worker, and which machines get its key. One file per verb.

check, explain, diff, test and sign are about the policy of a worker, docs/policy.md; build, lint and hash are about
release policies of keys and the policies of attestation providers. None uses a network.
"""

from typing import Final

import click

from cji_core.command.verbs import Verbs

_VERBS: Final = {
    "check": "check",
    "explain": "explain",
    "diff": "diff",
    "test": "test",
    "sign": "sign",
    "signer": "sign",
    "build": "build",
    "lint": "lint",
    "hash": "hash:hash_command",
}


@click.group(cls=Verbs, package=__name__, verbs=_VERBS)
def policy() -> None:
    """Check, explain and sign the policy of a worker, and write the policies that decide who gets its key.

    \b
    The policy of a worker:                 check  explain  diff  test  sign  signer
    Release policies, attestation policies: build  lint  hash
    """  # noqa: D301 - \b is click\'s mark for text that it must not wrap
