"""Every service of one simulation in one event loop. When all of them answer, `STATE/endpoints.json` appears."""

import asyncio
import contextlib
import ssl
import uuid
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Final

import msgspec
from aiohttp import web

from cji_core.audiences import STORAGE
from cji_simulator.broker import broker
from cji_simulator.control import Control, EventOptions
from cji_simulator.diagnostic_log import DiagnosticLog
from cji_simulator.endpoints import ENDPOINTS, USER_DATA, Endpoints, Machine
from cji_simulator.entra import Entra
from cji_simulator.faults import Event, Faults
from cji_simulator.hcl import Tee
from cji_simulator.identity import CLIENT_ID, Identities
from cji_simulator.imds import LOCATION, MetadataService
from cji_simulator.intel import Intel
from cji_simulator.kds import KeyDistributionService
from cji_simulator.keyvault import KeyVault
from cji_simulator.maa import AttestationService, SigningKeys
from cji_simulator.managed_hsm import ManagedHsm
from cji_simulator.pcs import CertificationService
from cji_simulator.ports import listeners
from cji_simulator.roots import HOST, Roots
from cji_simulator.tdx import TdxHost
from cji_simulator.vault_keys import Backups
from cji_simulator.vtpm import FIRMWARE_LOG, MACHINE_SOCKET, USERSPACE_LOG, VirtualTpm

__all__ = ["VAULT_LOG", "serve"]

BROKER: Final = "broker.sock"
VAULT_LOG: Final = "vault-audit.json"


def _events(
    maa: SigningKeys, machines: Sequence[VirtualTpm], roots: Roots, entra: Entra
) -> dict[Event, Callable[[EventOptions], Awaitable[None]]]:
    async def rotate_signing_keys(_: EventOptions) -> None:
        await asyncio.to_thread(maa.rotate)

    async def reboot(options: EventOptions) -> None:
        await machines[options.machine].reboot(options.image)

    async def extend_pcr(options: EventOptions) -> None:
        await machines[options.machine].extend(options.pcr, logged=options.logged)

    async def update_host(_: EventOptions) -> None:
        roots.update_host()

    async def rotate_entra_keys(_: EventOptions) -> None:
        await asyncio.to_thread(entra.rotate)

    return {
        Event.ROTATE_ENTRA_KEYS: rotate_entra_keys,
        Event.ROTATE_SIGNING_KEYS: rotate_signing_keys,
        Event.REBOOT: reboot,
        Event.EXTEND_PCR: extend_pcr,
        Event.UPDATE_HOST: update_host,
    }


def _tls(roots: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(roots / "tls.pem", roots / "tls.key")
    return context


async def serve(
    state: Path, *, limit: int, report_period: float, tee: Tee, ports: int | None, stop: asyncio.Event
) -> None:
    """Run until `stop` is set. `tee` is the kind of machine, `ports` the first of fixed ports, or None.

    `limit` is the vault's number of creations and releases in ten seconds, `report_period` the least time in seconds
    between two hardware reports.
    """
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    (state / ENDPOINTS).unlink(missing_ok=True)
    roots = await asyncio.to_thread(Roots.open, state / "roots")
    intel = await asyncio.to_thread(Intel.open, state / "intel")
    host = TdxHost(intel) if tee == "tdx" else None
    vm_id, faults, identities = uuid.uuid4(), Faults(), Identities()
    listening = listeners(ports)
    (maa_socket, maa_port), (other_socket, other_port) = (next(listening) for _ in range(2))
    (vault_socket, vault_port), (hsm_socket, hsm_port) = (next(listening) for _ in range(2))
    second_socket, second_port = next(listening)
    (imds_socket, imds_port), (control_socket, control_port) = (next(listening) for _ in range(2))
    (intel_socket, intel_port), (amd_socket, amd_port) = (next(listening) for _ in range(2))
    entra_socket, entra_port = next(listening)
    # The audience that a vault names must be a parent domain of its host, as vault.azure.net is of a vault's name.
    # 0.0.1 stands so to 127.0.0.1, and the client's check of that rule stays on.
    backups = Backups()
    vault, second, hsm = (
        kind(
            url=f"https://{HOST}:{port}",
            resource=f"https://0.0.1:{port}",
            roots=roots,
            identities=identities,
            faults=faults,
            limit=limit,
            log=DiagnosticLog(state / VAULT_LOG, url=f"https://{HOST}:{port}"),
            backups=backups,
        )
        for kind, port in ((KeyVault, vault_port), (KeyVault, second_port), (ManagedHsm, hsm_port))
    )
    imds = MetadataService(
        roots=roots, host=host, vm_id=vm_id, identities=identities, faults=faults, user_data=state / USER_DATA
    )
    audiences = vault.resource, second.resource, hsm.resource, STORAGE
    pcs = CertificationService(intel=intel, faults=faults)
    entra = Entra(faults=faults)
    entra.url = f"https://{HOST}:{entra_port}"
    kds = KeyDistributionService(roots=roots, faults=faults)
    tls = _tls(state / "roots")
    async with contextlib.AsyncExitStack() as stack:
        machines: list[VirtualTpm] = []

        async def new_machine(qemu: bool = False) -> Machine:
            number, own_id = len(machines), uuid.uuid4() if machines else vm_id
            made = await VirtualTpm.start(
                folder=state / f"vm-{number}",
                roots=roots,
                host=host,
                vm_id=own_id,
                report_period=report_period,
                faults=faults,
                machine=qemu,
            )
            stack.push_async_callback(made.stop)
            machines.append(made)
            return Machine(
                number=number,
                vm_id=str(own_id),
                tcti=made.tcti,
                firmware_log=str(made.folder / FIRMWARE_LOG),
                userspace_log=str(made.folder / USERSPACE_LOG),
                socket=str(made.folder / MACHINE_SOCKET) if qemu else "",
            )

        # while the machine's TPM makes its keys in a process of its own
        making = asyncio.create_task(asyncio.to_thread(SigningKeys, roots))
        first = await new_machine()
        signing, issuer, other_issuer = await making, f"https://{HOST}:{maa_port}", f"https://{HOST}:{other_port}"
        maa, other = (
            AttestationService(
                issuer=one, other=another, keys=signing, roots=roots, intel=intel, identities=identities, faults=faults
            )
            for one, another in ((issuer, other_issuer), (other_issuer, issuer))
        )
        events = _events(signing, machines, roots, entra)
        control = Control(
            faults=faults,
            events=events,
            identities=identities,
            intel=intel,
            vault=vault,
            new_machine=new_machine,
            signing=signing,
            entra=entra,
        )
        for app, listener, context in (
            (maa.application(), maa_socket, tls),
            (other.application(), other_socket, tls),
            (vault.application(), vault_socket, tls),
            (second.application(), second_socket, tls),
            (hsm.application(), hsm_socket, tls),
            (pcs.application(), intel_socket, tls),
            (kds.application(), amd_socket, tls),
            (entra.application(), entra_socket, tls),
            (imds.application(), imds_socket, None),
            (control.application(), control_socket, None),
        ):
            runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            await web.SockSite(runner, listener, ssl_context=context).start()
        endpoints = Endpoints(
            maa_url=maa.issuer,
            other_maa_url=other.issuer,
            vault_url=vault.url,
            vault_resource=vault.resource,
            second_vault_url=second.url,
            hsm_url=hsm.url,
            imds_url=f"http://{HOST}:{imds_port}",
            broker=str(stack.enter_context(broker(state / BROKER, f"http://{HOST}:{imds_port}", audiences))),
            control_url=f"http://{HOST}:{control_port}",
            machine=first,
            region=LOCATION,
            vm_id=str(vm_id),
            client_id=CLIENT_ID,
            tls_roots=roots.tls_pem,
            release_roots=roots.release_pem,
            ark_spki_sha256=roots.ark_spki_sha256,
            vtpm_spki_sha256=roots.vtpm_spki_sha256,
            ak_issuers=roots.ak_issuers,
            intel_spki_sha256=intel.spki_sha256,
            intel_url=f"https://{HOST}:{intel_port}",
            amd_url=f"https://{HOST}:{amd_port}",
            entra_url=entra.url,
            tee=tee,
        )
        part = state / f"{ENDPOINTS}.part"
        part.write_bytes(msgspec.json.encode(endpoints))
        part.rename(state / ENDPOINTS)
        stack.callback((state / ENDPOINTS).unlink)
        await stop.wait()
