"""Hot updates: a later bundle whose files differ in what a running worker takes without a restart, and in nothing else.

These are the files of `HOT`, and those that reference values name: AMD's revocation lists, risk acceptances, tables of
advisories, lists of processors, copies of the log of releases. Values in worker.toml itself are none: every process and
every receipt has the worker.toml of the start.

Pure: heads in, the names of the files that differ out. Who wrote the heads is for `signatures` to say.
"""

from collections.abc import Iterable

from cji_attestation.bundle.errors import BundleRefused
from cji_attestation.bundle.head import Head
from cji_attestation.bundle.names import HOT
from cji_core.boot_codes import BootCode
from cji_core.format.configuration.fleet import PoolLedgerSection


def require_floors(ledger: PoolLedgerSection | None) -> None:
    """Raise BundleRefused where no floor of the pool would stop a machine that misses an update."""
    if ledger is None or ledger.floors is None:
        raise BundleRefused(
            "no floor of the pool would keep a machine that misses this update from admitting jobs",
            "Set floors under [ledger] of worker.toml, see docs/bundle.md; or restart the machines one by one.",
            boot_code=BootCode.ANOTHER,
        )


def changed_files(before: Head, after: Head, values: Iterable[str] = ()) -> frozenset[str]:
    """The files that `after` changes. Raises BundleRefused if `before` cannot become `after` without a restart.

    `values` are the files that reference values name.
    """
    if after.sha384 == before.sha384:
        return frozenset()
    if after.manifest.pool != before.manifest.pool:
        raise BundleRefused(
            f"The bundle is of pool {after.manifest.pool!a}, the one in force of {before.manifest.pool!a}",
            "Deploy a bundle of this machine's pool.",
            status=3,
            boot_code=BootCode.POOL,
        )
    if after.manifest.serial <= before.manifest.serial:
        raise BundleRefused(
            f"The bundle has the serial number {after.manifest.serial}; {before.manifest.serial} is in force",
            "Deploy the current bundle. To go back to an earlier configuration, make it again with a higher number.",
            status=3,
            boot_code=BootCode.SERIAL,
        )
    old, new = ({entry.name: entry.sha384 for entry in head.manifest.files} for head in (before, after))
    differ = frozenset(name for name in old.keys() | new.keys() if old.get(name) != new.get(name))
    hot = HOT.union(values)
    cold = sorted({*(differ - hot), *(old.keys() ^ new.keys())})
    if cold:
        raise BundleRefused(
            f"{', '.join(cold)} needs a restart: a running worker takes {', '.join(sorted(hot))} alone",
            "Restart the machines one by one, or make a bundle in which nothing else differs.",
            boot_code=BootCode.ANOTHER,
        )
    return differ
