"""Seal on one machine, send from another, open on a third; the folders are all that moves between them."""

from pathlib import Path

from cji_client import connect, load_job, load_profile, load_result, save_job
from cji_client.keys import load_recipient_key
from cji_client.trusts import AZURE_US


def seal(profile: Path, spec: Path, records: Path, folder: Path) -> None:
    """With the signing key; without a worker if the profile has `kek_jwk`."""
    with connect(profile) as worker:
        prepared = worker.prepare(records, spec)
        save_job(worker.seal(prepared), prepared.inputs, folder, submitter=worker.profile.submitter())


def send(profile: Path, folder: Path, result: Path) -> None:
    """With the client certificate, and no other key."""
    with connect(profile) as worker, worker.send(load_job(folder), deadline=600) as received:
        received.save(result)


def read(folder: Path, profile: Path, key: Path) -> None:
    """With the recipient's key, and no network."""
    reference = load_profile(profile).reference
    with load_result(folder, trust=AZURE_US, reference=reference) as sealed:
        print(sealed.opened_by(load_recipient_key(key)).table())
