"""The check of `cji doctor` on the releases that a fleet asks of each vault; docs/fleet.md explains the numbers."""

from collections import Counter
from urllib.parse import urlsplit

from cji_core.command.findings import NotOk
from cji_core.format.configuration.worker import Config
from cji_worker.keyholder.schedule import MOST_LOAD, vault_load

_HSM = ".managedhsm."  # in the name of every Managed HSM; it does not throttle


def check_vault_load(config: Config) -> str:
    """The load of each vault, from the configuration alone. Raises NotOk where renewals wait, or keys can run out."""
    workers, lifetime = config.attestation.workers_per_vault, config.attestation.key_lifetime_s
    hosts = Counter(urlsplit(key.kek_id).netloc for key in config.keys)
    vaults = {host: versions for host, versions in hosts.items() if _HSM not in host}
    found, most = [f"{host}: no limit known" for host in hosts if host not in vaults], 0.0
    for host, versions in vaults.items():
        load = vault_load(workers=workers, versions=versions, lifetime=lifetime)
        found.append(f"{host}: {100 * load:.0f} % for {workers} workers × {versions} key version(s) × {lifetime} s")
        most = max(most, load)
    if most <= 1:
        return "; ".join(found)
    what = "keys can run out" if most > MOST_LOAD else "renewals wait, and revocations take up to the whole lifetime"
    raise NotOk(
        f"{'; '.join(found)}: {what}",
        "Set attestation.workers_per_vault to the number of workers. If it is right, use more vaults, a Managed HSM, "
        "fewer and larger VMs, fewer key versions or a longer key_lifetime_s: docs/fleet.md, Sizing.",
        state="warning",
    )
