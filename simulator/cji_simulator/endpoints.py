"""The agreement between the servers and their callers: files of the state folder, and the contents of answers.

It imports no server, so a test, a command and `up` itself do not load what only the servers run.
"""

from typing import Final, Literal

import msgspec

from cji_simulator.hcl import Tee

__all__ = ["ENDPOINTS", "POOL", "USER_DATA", "Endpoints", "Machine", "Unit", "UnitReport"]

ENDPOINTS: Final = "endpoints.json"
POOL: Final = "pool.json"  # address of the interface of a pool, while there is one
USER_DATA: Final = "user-data"  # of the VM, before base64


class Machine(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One VM: where its vTPM and its event logs are."""

    number: int
    vm_id: str
    tcti: str
    firmware_log: str
    userspace_log: str
    socket: str = ""
    """The socket for QEMU's TPM, if it runs this machine."""


class UnitReport(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The state of the worker that `up` runs, in a boot of its machine."""

    boot: int
    state: Literal["starting", "serving", "ended"]


class Unit(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Boots of the first machine, whether a reset was asked for, and the last report of the worker's unit, if any."""

    boot: int = 0
    reset: bool = False
    report: UnitReport | None = None

    @property
    def serves(self) -> bool:
        """Whether the worker serves in the current boot."""
        return self.report == UnitReport(boot=self.boot, state="serving")


class Endpoints(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Addresses of the services and the roots that vouch for them. Public data."""

    maa_url: str
    other_maa_url: str  # a second provider, of another tenant, with the same signing keys
    vault_url: str
    vault_resource: str
    second_vault_url: str  # of another region, where keys of the first can be restored
    hsm_url: str
    imds_url: str  # of the metadata service itself
    broker: str  # Unix socket of the broker in front of it
    control_url: str
    machine: Machine  # the first
    region: str
    vm_id: str
    client_id: str  # of the identity that the VM has
    tls_roots: str
    release_roots: str
    ark_spki_sha256: str
    vtpm_spki_sha256: str
    ak_issuers: str
    intel_spki_sha256: str
    intel_url: str
    amd_url: str
    entra_url: str
    tee: Tee
