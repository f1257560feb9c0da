"""The configuration bundle that this worker's files are of, and the conditions under which a later one replaces it.

A machine that was configured by a bundle has its head beside the policy. Then no file of the operator is taken that is
not of a bundle which keys of the measured image signed: at the start worker.toml, as it was read, and every file beside
it that the worker's user may read; at each reload policy, authorities, lists and files of reference values, of the same
bundle or of a hot update (`cji_attestation.bundle.hot`). The keyholder verifies this itself, because
anyone who can write the files can have them read. Without a head the files count as before, no bundle is ever taken,
and a worker that names floors does not start.
"""

import hashlib
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from cji_attestation import Trust
from cji_attestation.bundle.errors import BundleRefused
from cji_attestation.bundle.head import MAX_BYTES as MAX_BUNDLE
from cji_attestation.bundle.head import Head, read_head
from cji_attestation.bundle.hot import changed_files, require_floors
from cji_attestation.bundle.names import LOG_POLICY, LOST_SUFFIX, POLICY, WORKER, worker_reads
from cji_attestation.bundle.signatures import Accepted, Rank, accepted_in, check_dates, rank
from cji_core.bundle_name import BundleName
from cji_core.format.configuration.operator_files import (
    FileKey,
    FileRefused,
    PolicyFiles,
    read_file,
    signatures_path,
)
from cji_core.format.configuration.worker import Config
from cji_core.strict import hex_decode
from cji_worker.ipc.messages import ClientDigests

_WRITE: Final = (
    "Restart the machine, which writes the files of its bundle; if an update was interrupted, `cji bundle update`."
)


class BundleInForce:
    """`now` is the head of the bundle in force, None on a machine that was configured without one; `rank` is its."""

    __slots__ = ("_config", "accepted", "now", "rank")

    def __init__(self, config: Config, now: Head | None = None, accepted: Accepted | None = None) -> None:
        self._config, self.accepted = config, accepted
        self.take(now)

    def take(self, head: Head | None) -> None:
        """Put a head in force that `checked` returned."""
        self.now: Head | None = head
        self.rank: Rank | None = None if head is None or self.accepted is None else rank(head, self.accepted)

    def checked(self, files: PolicyFiles) -> Head | None:
        """The head of these files, if they may follow those in force. Raises FileRefused."""
        if self.now is None or self.accepted is None:
            if files.head is not None:
                raise FileRefused("bundle", "the worker was started without one", "Restart the machine.")
            return None
        if files.head is None:
            raise FileRefused("bundle", "bundle.head is not beside the policy", _WRITE)
        try:
            head = read_head(files.head)
            if head.sha384 == self.now.sha384:
                head = self.now  # whose signatures count, whatever these are
            else:
                rank(head, self.accepted)
                check_dates(head, datetime.now(UTC))
                changed_files(self.now, head, self._config.attestation.value_files)
                require_floors(self._config.ledger)
        except BundleRefused as error:
            raise FileRefused("bundle", error.what, error.remedy) from error
        _check_policy(head, files)
        if files.values.keys() != self._config.attestation.value_files.keys():
            raise FileRefused("bundle", "its files are not those that reference values of worker.toml name", _WRITE)
        _check_values(head, files.values)
        return head

    def check_clients(self, head: Head | None, clients: ClientDigests) -> None:
        """Raise FileRefused if authorities or revocation lists are not those of this bundle."""
        if head is None:
            return
        folder, listen = os.path.dirname(self._config.policy_file), self._config.listen
        _check(head, os.path.relpath(listen.client_roots, folder), clients.client_roots, file="client_roots")
        if listen.client_crl is not None and clients.client_crl is not None:
            _check(head, os.path.relpath(listen.client_crl, folder), clients.client_crl, file="client_crl")


def bundle_at_start(files: PolicyFiles, config: Config, trust: Trust) -> BundleInForce:
    """The bundle of the files that a worker starts with. Raises FileRefused if they are not a signed bundle's."""
    if files.head is None:
        if config.ledger is not None and config.ledger.floors is not None:
            raise FileRefused(
                "bundle",
                "worker.toml names floors of the pool, and without bundle.head beside the policy none would count",
                "Configure the machine by a bundle, `cji bundle apply`; or take floors out of [ledger].",
            )
        return BundleInForce(config)
    try:
        head, accepted = read_head(files.head), accepted_in(Path(trust.bundle_keys))
        rank(head, accepted)
    except BundleRefused as error:
        raise FileRefused("bundle", error.what, error.remedy) from error
    _check_policy(head, files)
    _check_configuration(head, config)
    return BundleInForce(config, head, accepted)


def name_of(head: Head) -> BundleName:
    """As the trail names it."""
    return BundleName(serial=head.manifest.serial, sha384=head.sha384.hex())


def log_policy_of(head: Head | None) -> str | None:
    """SHA-384 of the file of the log's policy in this bundle, if it has one."""
    files = () if head is None else head.manifest.files
    return next((entry.sha384 for entry in files if entry.name == LOG_POLICY), None)


def losses_in(head: Head | None) -> tuple[str, ...]:
    """The digests of its statements that witnesses are lost, also of those that `cji bundle apply` had no need of."""
    files = () if head is None else head.manifest.files
    return tuple(entry.sha384 for entry in files if entry.name.endswith(LOST_SUFFIX))


def _check_policy(head: Head, files: PolicyFiles) -> None:
    _check(head, POLICY, hashlib.sha384(files.policy).digest(), file="policy_file")
    if files.signatures is not None:
        name = signatures_path(POLICY)
        _check(head, name, hashlib.sha384(files.signatures).digest(), file="policy_signatures")


def _check_configuration(head: Head, config: Config) -> None:
    """The configuration that this process was started with, then the files that others read beside the policy."""
    _check(head, WORKER, hex_decode(config.sha384), file="bundle")
    _check_values(head, config.attestation.value_files)
    folder = os.path.dirname(config.policy_file)
    for name in (entry.name for entry in head.manifest.files if worker_reads(entry.name)):
        data = read_file("bundle", os.path.join(folder, name), limit=MAX_BUNDLE)
        _check(head, name, hashlib.sha384(data).digest(), file="bundle")


def _check_values(head: Head, values: Mapping[str, bytes]) -> None:
    for name, data in values.items():
        _check(head, name, hashlib.sha384(data).digest(), file="bundle")


def _check(head: Head, name: str, sha384: bytes, *, file: FileKey) -> None:
    if not any(entry.name == name and entry.sha384 == sha384.hex() for entry in head.manifest.files):
        what = f"{name} is not that of bundle {head.manifest.serial}, whose head is beside the policy"
        raise FileRefused(file, what, _WRITE)
