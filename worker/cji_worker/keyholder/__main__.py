"""Start the keyholder: the secret heap first, then everything else."""

import asyncio
import os
import selectors
import sys
from functools import partial
from pathlib import Path

from cji_attestation import AttestationError, Trust, is_production
from cji_attestation.evidence.boot_logs import BootLogs, open_logs
from cji_attestation.evidence.tpm_counter import NvCounter
from cji_core.documents import decode
from cji_core.errors import Refusal, StartupError
from cji_core.fips import CryptoModule, module_in_force, require_usable
from cji_core.format.configuration.operator_files import read_policy_files
from cji_core.format.configuration.policy_files import checked, entra_audience
from cji_core.format.configuration.worker import Config
from cji_core.format.job import Policy
from cji_core.log import events_only, log
from cji_core.manifest import VERSION
from cji_core.operations.tables import Tables
from cji_core.operations.tables import decode as decode_tables
from cji_core.trail import WorkerStarted
from cji_worker.ipc import Boot, Channel, KeySlot, receive_boot
from cji_worker.ipc.messages import (
    KeyholderFromFront,
    KeyholderFromSupervisor,
    KeyholderFromZygote,
    SupervisorFromKeyholder,
    Up,
)
from cji_worker.keyholder.anchor import Anchor, establish, is_alone
from cji_worker.keyholder.bundle_in_force import (
    BundleInForce,
    bundle_at_start,
    log_policy_of,
    losses_in,
    name_of,
)
from cji_worker.keyholder.checkpoints import Checkpoints
from cji_worker.keyholder.custody import Custody
from cji_worker.keyholder.delivery import DeliveryWatch
from cji_worker.keyholder.entra import KeySets, SecondIdentity
from cji_worker.keyholder.fronts import Fronts
from cji_worker.keyholder.host import HostState
from cji_worker.keyholder.keyholder import Keyholder
from cji_worker.keyholder.own_evidence import OwnEvidence, make_folder
from cji_worker.keyholder.policy import PolicyInForce, require_serial
from cji_worker.keyholder.pool_ledger import PoolLedger, open_pool_ledger
from cji_worker.keyholder.receipts import ReceiptSigner
from cji_worker.keyholder.replay import open_trail
from cji_worker.keyholder.rights import confine
from cji_worker.memory import Region, SecretHeap, overwrite_registers
from cji_worker.trail.file import AuditFile


def _custody(boot: Boot, trust: Trust, logs: BootLogs, signer: ReceiptSigner, host: HostState) -> Custody:
    key = signer.thumbprint
    return Custody(
        config=boot.config,
        code=boot.code,
        trust=trust,
        logs=logs,
        receipt_key=key,
        tpm=host.tpm_clock,
        own=OwnEvidence(Path(boot.config.audit_file), receipt_jwk=signer.public_jwk, receipt_key=key),
    )


def _record_start(
    audit: AuditFile, boot: Boot, signer: ReceiptSigner, *, policy: Policy, bundle: BundleInForce, host: HostState
) -> None:
    require_serial(policy, audit)
    audit.append(
        WorkerStarted(
            version=VERSION,
            code_sha384=boot.code.sha384.hex(),
            config_sha384=boot.config.sha384,
            policy_sha384=policy.sha384.hex(),
            policy_signers=policy.signers,
            policy_serial=policy.serial,
            simulated=signer.simulated,
            host_profile=host.profile,
            bundle=None if bundle.now is None else name_of(bundle.now),
            log_policy=log_policy_of(bundle.now),
            witnesses_lost=losses_in(bundle.now),
        )
    )


class _Selector(selectors.EpollSelector):
    """Leaves nothing in registers while the process waits: names of persons pass through it, and a core shows them."""

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """As the base."""
        overwrite_registers()
        return super().select(timeout)


async def _serve(
    boot: Boot,
    trust: Trust,
    logs: BootLogs,
    heap: SecretHeap,
    *,
    key_slots: list[KeySlot],
    memory: str,
    crypto: CryptoModule,
) -> None:
    config, tables = boot.config, decode_tables(boot.tables)
    policy, bundle = _files(config, trust)
    host = HostState(boot.host, production=is_production(trust))
    open_counter = partial(NvCounter, trust.tcti, config.audit_counter)
    with open_trail(config) as audit:
        anchor = Anchor(audit, open_counter, value=establish(audit, open_counter, alone=is_alone(config, trust)))
        simulated = not is_production(trust) or memory != "memfd_secret"
        signer = _signer(boot, audit, anchor, host, crypto, tables=tables, simulated=simulated)
        _record_start(audit, boot, signer, policy=policy, bundle=bundle, host=host)
        custody = _custody(boot, trust, logs, signer, host)
        supervisor: Channel[KeyholderFromSupervisor, SupervisorFromKeyholder] = Channel(
            boot.supervisor, KeyholderFromSupervisor
        )
        second = SecondIdentity(audience=entra_audience(config), keys=KeySets(trust))
        pool = _pool(config, trust)
        keyholder = Keyholder(
            config=config,
            policy=PolicyInForce(policy),
            bundle=bundle,
            tables=tables,
            audit=audit,
            anchor=anchor,
            checkpoints=Checkpoints(audit, signer),
            custody=custody,
            signer=signer,
            second=second,
            host=host,
            delivery=DeliveryWatch(config.audit_delivery, trail=Path(config.audit_file), audit=audit),
            supervisor=supervisor,
            fronts=Fronts([Channel(fd, KeyholderFromFront) for fd in boot.fronts]),
            zygote=Channel(boot.zygote, KeyholderFromZygote),
            key_slots=key_slots,
            pool=pool,
        )
        supervisor.send(Up())
        custody.start(heap, keyholder.holdings_changed)
        second.start()
        if pool is not None:
            pool.start()
        await keyholder.serve()


def _files(config: Config, trust: Trust) -> tuple[Policy, BundleInForce]:
    files = read_policy_files(config.policy_file, signed=bool(config.policy_signatures))
    return checked(files, config), bundle_at_start(files, config, trust)


def _pool(config: Config, trust: Trust) -> PoolLedger | None:
    section = config.ledger
    if section is None:
        return None
    floors = None if section.floors is None else partial(open_pool_ledger, section, trust, section.floors)
    opener = partial(open_pool_ledger, section, trust, section.container)
    return PoolLedger(opener, open_floors=floors, seconds=section.seconds)


def _signer(
    boot: Boot,
    audit: AuditFile,
    anchor: Anchor,
    host: HostState,
    crypto: CryptoModule,
    *,
    tables: Tables,
    simulated: bool,
) -> ReceiptSigner:
    return ReceiptSigner(
        config=boot.config,
        code_sha384=boot.code.sha384,
        tables_sha256=tables.sha256,
        simulated=simulated,
        anchor=anchor,
        crypto=crypto,
        host=host,
        trail=audit.identity,
        last=audit.last_completion,
    )


def main(boot: Boot) -> int:
    """Body of the process; returns its exit status."""
    events_only()
    try:
        region = Region(boot.regions[0])
        key_slots = [KeySlot(fd) for fd in boot.slots]
        trust = decode(boot.trust, Trust, limit=len(boot.trust))
        crypto = module_in_force()  # it reads the map of this process, which the confined process cannot
        require_usable(crypto, require_fips=boot.config.require_fips)
        logs = open_logs(trust, boot.logs)
        make_folder(Path(boot.config.audit_file))
        confine(boot.config, trust, parent=boot.parent)
        heap = SecretHeap(region, size=region.size)
        with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(_Selector())) as runner:
            runner.run(_serve(boot, trust, logs, heap, key_slots=key_slots, memory=region.kind, crypto=crypto))
    except StartupError as error:
        log("error", what=error.what, remedy=error.remedy)
        return 1
    except Refusal as refusal:
        log("error", reason=refusal.reason.value, what=str(refusal))
        return 1
    except AttestationError as error:
        log("error", fault=error.fault.value, check=error.check, remedy=error.remedy)
        return 1
    except Exception as fault:  # noqa: BLE001 - the last chance to log it; the texts of exceptions are not logged
        log("fault", error=type(fault).__name__)
        return 1
    return 0


if __name__ == "__main__":
    # the custody thread cannot be interrupted in the middle of a TPM command; the kernel wipes what it held
    os._exit(main(receive_boot(int(sys.argv[1]))))
