"""The clients that a profile names: of one worker, and of a pool by reference."""

from attestation import Trust
from worker.client import ClientProfile, SyncClient
from worker.client.by_reference import SyncFleetClient


def worker_client(profile: ClientProfile, trust: Trust) -> SyncClient:
    """The profile's worker."""
    return SyncClient(
        profile.target,
        tls=profile.tls(),
        trust=trust,
        reference=profile.reference,
        maa_url=profile.maa_url,
        server_name=profile.server_name,
        token=profile.token(),
    )


def pool_client(profile: ClientProfile, trust: Trust) -> SyncFleetClient:
    """The profile's pool; SpecError if it names none."""
    return SyncFleetClient(profile.pool_storage(), trust=trust, reference=profile.reference, maa_url=profile.maa_url)
