"""The pinned keys of a configuration, as attestation takes them."""

from cji_attestation.release import KeySpec
from cji_core.format.configuration.worker import Config


def key_specs(config: Config) -> dict[str, KeySpec]:
    """By id, in the order of the configuration."""
    return {
        k.kek_id: KeySpec(
            kek_id=k.kek_id,
            public_thumbprint=k.public_thumbprint,
            policy_sha256=k.policy_sha256,
            accept_findings=k.accept_findings,
        )
        for k in config.keys
    }
