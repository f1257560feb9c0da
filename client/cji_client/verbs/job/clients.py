"""The client of a pool that a profile names."""

from cji_attestation import Trust
from cji_client.by_reference import SyncFleetClient
from cji_client.profile import ClientProfile


def pool_client(profile: ClientProfile, trust: Trust) -> SyncFleetClient:
    """The profile's pool; SpecError if it names none."""
    return SyncFleetClient(
        profile.pool_storage(),
        trust=trust,
        reference=profile.reference,
        maa_url=profile.maa_url,
        archive=profile.archive(trust),
    )
