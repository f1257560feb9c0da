"""The policy of a worker in the files of its operator: read, and checked with the configuration that names it.

A worker, `cji doctor`, `cji policy check` and the reader of bundles take it by these functions.
"""

from datetime import UTC, datetime
from typing import Final

from cji_core.format.configuration.operator_files import FileRefused, PolicyFiles, read_policy_files
from cji_core.format.configuration.worker import Config
from cji_core.format.job import Policy, PolicyInvalid
from cji_core.format.job.policy.signatures import SignaturesInvalid, verify

_REMEDY: Final = "Compare the file with docs/policy.md; `cji policy check` checks it before a reload."
_UNSIGNED: Final = "Have the policy signed as it is now, by enough of the policy_signers: `cji policy sign`."


def read_policy(config: Config) -> Policy:
    """The policy that a configuration names, signed as it requires. Raises FileRefused."""
    return checked(read_policy_files(config.policy_file, signed=bool(config.policy_signatures)), config)


def checked(files: PolicyFiles, config: Config) -> Policy:
    """The policy in these bytes, signed as the configuration requires; it needs no tokens that it cannot have.

    Raises FileRefused.
    """
    try:
        signers = verify(
            files.policy,
            files.signatures or b"",
            jwks=config.policy_signers,
            needed=config.policy_signatures,
            now=datetime.now(UTC),
        )
        policy = Policy.load(files.policy, signers=signers)
    except SignaturesInvalid as error:
        raise FileRefused("policy_signatures", error.where, _UNSIGNED) from error
    except PolicyInvalid as error:
        raise FileRefused("policy_file", error.where, _REMEDY) from error
    require_audience(policy, entra_audience(config))
    return policy


def entra_audience(config: Config) -> str | None:
    """The audience of access tokens for this worker."""
    return None if config.entra is None else config.entra.audience


def require_audience(policy: Policy, audience: str | None) -> None:
    """Raise FileRefused for a policy that needs tokens where the configuration names no audience for them."""
    if policy.tenants and audience is None:
        raise FileRefused(
            "policy_file",
            "a submitter has an entra table, and worker.toml has no [entra]",
            "Set audience under [entra], see docs/entra.md, and restart the worker.",
        )
