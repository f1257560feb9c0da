"""One simulation, as a tester holds it: start, ask where things are, create keys, order faults, stop."""

import hashlib
import http.client
import json
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from copy import copy
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from cji_attestation import Trust
from cji_attestation.trust import endpoint
from cji_core.documents import convert, decode
from cji_simulator import jws
from cji_simulator.encoding import CURVES, PublicKey, b64url, public_jwk, unb64url
from cji_simulator.endpoints import ENDPOINTS, USER_DATA, Endpoints, Machine, Unit, UnitReport
from cji_simulator.errors import SimulatorError
from cji_simulator.faults import Event, Fault, Kind, Service
from cji_simulator.hcl import Tee
from cji_simulator.ports import require_free
from cji_simulator.prerequisites import missing
from cji_simulator.whereabouts import found_state

if TYPE_CHECKING:  # commands and tests that need none of these do not load them
    from cji_attestation.appraisal import ReferenceValues
    from cji_attestation.evidence import Evidence
    from cji_attestation.release import Attester, KeySpec
    from cji_simulator.entra import TokenOrder
    from cji_simulator.intel import Publication

__all__ = ["Cmk", "Simulation", "SimulationError"]

_START: Final = 60.0  # seconds, for two RSA-4096 keys on a busy machine
_RESET: Final = 240.0
_LOOK: Final = 0.1
_API_VERSION: Final = "7.4"


class SimulationError(SimulatorError):
    """The servers did not start, or refused an order."""

    code = "simulation-failed"
    remedy = "Start the simulation again."


class Cmk(msgspec.Struct, frozen=True, kw_only=True):
    """A customer's key in the vault, by what a worker pins."""

    kek_id: str  # with version
    public_thumbprint: str  # RFC 7638, SHA-256, base64url
    policy_sha256: str  # hex, of the release policy's bytes as the vault keeps them
    public_jwk: dict[str, str]  # kty RSA with minimal exponent, or EC

    @property
    def spec(self) -> "KeySpec":
        """The pins as the worker takes them."""
        from cji_attestation.release import KeySpec

        return KeySpec(kek_id=self.kek_id, public_thumbprint=self.public_thumbprint, policy_sha256=self.policy_sha256)


class Simulation:
    """All services behind one object; a context manager.

    `state` keeps the roots between runs; VM, TPM and vault are new each time. `release_limit` is the vault's number
    of creations and releases in ten seconds; `report_period` is the least time in seconds between two hardware reports,
    2 as in openvmm's REPORT_TIMER_PERIOD; `tee` is the kind of machine, AMD's or Intel's. `ports` is the first of fixed
    ports, in the order of `cji_simulator.ports.PORTS`; without it, they are free ones. The servers are one child
    process, which ends when this object is closed or this process ends.
    """

    def __init__(
        self,
        state: Path,
        *,
        release_limit: int = 10,
        report_period: float = 2.0,
        tee: Tee = "snp",
        ports: int | None = None,
    ) -> None:
        self.state, self._ports = state.absolute(), ports
        self._options = ["--limit", str(release_limit), "--report-period", str(report_period), "--tee", tee]
        self._options += [] if ports is None else ["--ports", str(ports)]
        self._process: subprocess.Popen[bytes] | None = None
        self._endpoints: Endpoints | None = None
        self._machine: Machine | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def begin(self) -> None:
        """Start the servers, and do not wait for them: `start` does. Raises SimulationError.

        A caller with other work to do first does it in between.
        """
        if lacking := missing(worker=False):
            raise SimulationError("; ".join(lacking))
        if self._ports is not None:
            try:
                require_free(self._ports)
            except OSError as error:
                raise SimulationError(str(error.strerror)) from error
        self.state.mkdir(mode=0o700, parents=True, exist_ok=True)
        (self.state / ENDPOINTS).unlink(missing_ok=True)
        command = [sys.executable, "-m", "cji_simulator", str(self.state), *self._options]
        with self._log.open("wb") as sink:
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=sink, stderr=sink, start_new_session=True
            )

    def start(self) -> None:
        """Start the servers, unless they are starting, and wait for them; raises SimulationError."""
        if self._process is None:
            self.begin()
        assert self._process is not None
        ready, until = self.state / ENDPOINTS, time.monotonic() + _START
        while not ready.exists():
            if self._process.poll() is not None or time.monotonic() > until:
                self.stop()
                raise SimulationError(f"the servers did not start; the reason is in {self._log}")
            time.sleep(0.01)
        self._endpoints = decode(ready.read_bytes(), Endpoints, limit=1 << 20)

    @classmethod
    def running(cls, state: Path | None = None) -> Self:
        """Return the simulation that another process keeps in `state`; raises SimulationError where none is.

        Without `state`, that of this user that started last, in whatever folder.
        """
        found = cls(state := found_state() if state is None else state)
        try:
            found._endpoints = decode((found.state / ENDPOINTS).read_bytes(), Endpoints, limit=1 << 20)
        except (OSError, ValueError) as error:
            raise SimulationError(f"no simulation runs in {state}") from error
        found.faults()
        return found

    def stop(self) -> None:
        """Stop the servers, if this object started them; a second call does nothing."""
        process, self._process, self._endpoints = self._process, None, None
        if process is not None and process.stdin is not None:
            process.stdin.close()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def reset(self) -> None:
        """Begin again: no fault is in force, and VM, TPM, vault, keys and addresses are new; the roots are the same.

        A simulation that `up` runs gets a new worker as well, on the same port; this returns when it serves.
        Raises SimulationError.
        """
        if self._process is not None:
            self.stop()
            self.start()
            return
        before = self.endpoints.control_url
        self._control("POST", "/reset")
        until = time.monotonic() + _RESET
        while time.monotonic() < until:
            try:
                found = type(self).running(self.state)
                if found.endpoints.control_url != before and found.unit.serves:
                    self._endpoints, self._machine = found.endpoints, None
                    return
            except SimulationError:
                pass  # it is stopping, or starting
            time.sleep(_LOOK)
        raise SimulationError("the simulation did not begin again; `cji-simulator up` must run it")

    @property
    def unit(self) -> Unit:
        """Requests to the worker's unit in `up`, and its last report."""
        return convert(self._control("GET", "/unit"), Unit)

    def report_unit(self, report: UnitReport) -> None:
        """Report the state of the worker; for the process that runs it."""
        self._control("PUT", "/unit", msgspec.json.encode(report))

    @property
    def _log(self) -> Path:
        return self.state / "server.log"

    @property
    def endpoints(self) -> Endpoints:
        """Addresses of all services."""
        if self._endpoints is None:
            raise SimulationError("not started")
        return self._endpoints

    @property
    def machine(self) -> Machine:
        """The VM that `trust` names and that events happen to."""
        return self._machine or self.endpoints.machine

    def another_vm(self) -> Self:
        """Start one more VM; returns this simulation with that VM in place of the first. The servers are the same."""
        other = copy(self)
        other._process, other._machine = None, convert(self._control("POST", "/machines"), Machine)
        return other

    def machine_in_qemu(self) -> Self:
        """One more VM, which QEMU runs: its TPM is at `machine.socket`; `machine.tcti` is the same, from outside."""
        other = copy(self)
        other._process, other._machine = None, convert(self._control("POST", "/machines?qemu=1"), Machine)
        return other

    @property
    def second_region(self) -> Self:
        """The same simulation as seen from another region, which has its own provider and its own vault.

        The vault can restore keys of the first region's; the metadata service is the same.
        """
        other, at = copy(self), self.endpoints
        other._process = None
        other._endpoints = msgspec.structs.replace(
            at,
            maa_url=at.other_maa_url,
            other_maa_url=at.maa_url,
            vault_url=at.second_vault_url,
            second_vault_url=at.vault_url,
            vault_resource=f"https://{at.second_vault_url.partition('.')[2]}",
        )
        return other

    @property
    def maa_url(self) -> str:
        """Base URL and issuer of the attestation service."""
        return self.endpoints.maa_url

    @property
    def vault_url(self) -> str:
        """Base URL of the vault."""
        return self.endpoints.vault_url

    @property
    def region(self) -> str:
        """The region that the VM reports."""
        return self.endpoints.region

    @property
    def trust(self) -> Trust:
        """The pins of this simulation, for the constructors that production fills with its own."""
        at = self.endpoints
        return Trust(
            flavours=("production", "debug"),
            name="simulation",
            maa_hosts=(at.maa_url.removeprefix("https://"),),
            # the vault by its name, the HSM by a domain, as production has it: each with its own audience
            vault_hosts=(at.vault_url.removeprefix("https://"), f".{at.hsm_url.partition('.')[2]}"),
            vault_resource=at.vault_resource,
            tls_roots=at.tls_roots,
            release_roots=at.release_roots,
            amd_roots=(at.ark_spki_sha256,),
            amd_kds=at.amd_url,
            intel_roots=(at.intel_spki_sha256,),
            intel_pcs=at.intel_url,
            intel_root_crl=f"{at.intel_url}/IntelSGXRootCA.der",
            entra=at.entra_url,
            imds=f"unix:{at.broker}",
            tcti=self.machine.tcti,
            tpm_is_shared=True,
            firmware_log=self.machine.firmware_log,
            userspace_log=self.machine.userspace_log,
            bundle_keys=str(self.state / "bundle-keys"),
        )

    @property
    def reference(self) -> "ReferenceValues":
        """The reference values of an operator who has added those of this simulation's machine."""
        return self.reference_with()

    def reference_with(self, **values: Any) -> "ReferenceValues":
        """The same with other values."""
        from cji_simulator.reference import reference_values

        provider_keys = convert(self._control("GET", "/signing-keys"), tuple[str, ...])
        return reference_values(self.endpoints.vtpm_spki_sha256, provider_keys, **values)

    @property
    def ak_issuers(self) -> bytes:
        """PEM: who issues certificates of attestation keys, up to the root."""
        return self.endpoints.ak_issuers.encode()

    def attester(self, **changes: Any) -> "Attester":
        """An attester for this machine, with other arguments where given."""
        from cji_attestation.release import Attester

        given: dict[str, Any] = {
            "trust": self.trust,
            "maa_url": self.maa_url,
            "reference": self.reference,
            "ak_issuers": self.ak_issuers,
        }
        return Attester(**(given | changes))

    def collect(self, qualifying_data: bytes) -> "Evidence":
        """Evidence of this machine for this quote, not appraised."""
        from cji_attestation.evidence.collect import collect
        from cji_attestation.evidence.pcs import IntelPcs

        known = x509.load_pem_x509_certificates(self.ak_issuers)
        return collect(
            trust=self.trust, qualifying_data=qualifying_data, pcs=IntelPcs(self.trust), ak_issuers=tuple(known)
        )

    def release_policy(self) -> dict[str, Any]:
        """Return the default policy of keys: the output of `cji policy build` for both kinds of hardware."""
        from cji_attestation.release.policy import build

        policy: dict[str, Any] = json.loads(build(self.maa_url, hardware=("snp", "tdx")))
        return policy

    def create_cmk(
        self,
        name: str = "cji-kek",
        *,
        policy: Mapping[str, Any] | None = None,
        immutable: bool = False,
        key_size: int = 3072,
        curve: str | None = None,
        hsm: bool = False,
    ) -> Cmk:
        """Create an exportable HSM key under a release policy, as the key's owner would.

        RSA, or EC where `curve` is P-256, P-384 or P-521; in the vault, or in the Managed HSM.
        """
        data = json.dumps(self.release_policy() if policy is None else policy).encode()
        kind = {"kty": "RSA-HSM", "key_size": key_size} if curve is None else {"kty": "EC-HSM", "crv": curve}
        body = {
            **kind,
            "key_ops": ["wrapKey" if curve is None else "sign"],  # as deploy/ makes it: the vault itself opens nothing
            "attributes": {"exportable": True},
            "release_policy": {
                "contentType": "application/json; charset=utf-8",
                "data": b64url(data),
                "immutable": immutable,
            },
        }
        return _cmk(self.vault("POST", f"/keys/{name}/create", body, hsm=hsm))

    def disable_key(self, name: str = "cji-kek") -> None:
        """Disable the newest version of a key, as its owner would to revoke it."""
        self.enable_cmk(self.cmk(name), enabled=False)

    def enable_key(self, name: str = "cji-kek") -> None:
        """Enable the newest version of a key again."""
        self.enable_cmk(self.cmk(name), enabled=True)

    def delete_vault(self) -> None:
        """Delete the vault with all its keys, as somebody with a right to it can; purge protection keeps it."""
        self._control("PUT", "/vault/deleted", b"true")

    def recover_vault(self) -> None:
        """Recover the deleted vault."""
        self._control("PUT", "/vault/deleted", b"false")

    @property
    def vault_deleted(self) -> bool:
        """Whether the vault is deleted."""
        return bool(self._control("GET", "/vault/deleted"))

    def rotate_key(self, name: str = "cji-kek") -> Cmk:
        """Add a version to a key; older ones stay."""
        return self.rotate_cmk(name)

    def change_policy(self, name: str = "cji-kek", policy: Mapping[str, Any] | None = None) -> Cmk:
        """Replace the release policy of a key, by default by one that names another provider."""
        if policy is None:
            other = self.release_policy()
            for authority in other["anyOf"]:
                authority["authority"] = self.endpoints.other_maa_url
            policy = other
        return self.set_policy(name, policy)

    def rotate_cmk(self, name: str = "cji-kek") -> Cmk:
        """Add a version to a key; older ones stay."""
        return _cmk(self.vault("POST", f"/keys/{name}/rotate", {}))

    def enable_cmk(self, cmk: Cmk, *, enabled: bool) -> None:
        """Enable or disable one version."""
        self.vault("PATCH", cmk.kek_id.removeprefix(self.vault_url), {"attributes": {"enabled": enabled}})

    def date_cmk(self, cmk: Cmk, **times: int) -> None:
        """Set `nbf` or `exp` of one version, seconds since 1970."""
        self.vault("PATCH", cmk.kek_id.removeprefix(self.vault_url), {"attributes": times})

    def cmk(self, name: str = "cji-kek", version: str = "") -> Cmk:
        """Return a key's version from the vault, by default the newest."""
        return _cmk(self.vault("GET", f"/keys/{name}/{version}"))

    def set_policy(self, name: str, policy: Mapping[str, Any]) -> Cmk:
        """Replace a key's release policy."""
        given = {"data": b64url(json.dumps(policy).encode())}
        return _cmk(self.vault("PATCH", f"/keys/{name}/", {"release_policy": given}))

    def fault(
        self,
        service: Service,
        kind: Kind,
        *,
        status: int | None = None,
        seconds: float | None = None,
        path: str | None = None,
        times: int | None = None,
    ) -> None:
        """Make a service fail in a way, `times` times or until cleared; see `cji_simulator.faults`."""
        order = Fault(service=service, kind=kind, status=status, seconds=seconds, path=path, times=times)
        self._control("POST", "/faults", msgspec.json.encode(order))

    def faults(self) -> list[Fault]:
        """Return the orders in force, oldest first, with how often they still strike."""
        return convert(self._control("GET", "/faults"), list[Fault])

    def clear_faults(self) -> None:
        """Let everything work again."""
        self._control("DELETE", "/faults")

    def set_user_data(self, data: bytes) -> None:
        """Replace the VM's user data, as anybody with a right to the VM in Azure can."""
        (self.state / USER_DATA).write_bytes(data)

    def create_signing_key(self, name: str, *, curve: str = "P-384") -> str:
        """Create an EC key of the Managed HSM that signs and is never exported; return its id with the version."""
        body = {"kty": "EC-HSM", "crv": curve, "key_ops": ["sign", "verify"]}
        return str(self.vault("POST", f"/keys/{name}/create", body, hsm=True)["key"]["kid"])

    def create_key(self, name: str, **fields: Any) -> str:
        """Create a key of the vault that is not exportable, as its owner; return its id with the version."""
        return str(self.vault("POST", f"/keys/{name}/create", fields)["key"]["kid"])

    def operator_token(self, audience: str) -> str:
        """Return a token of an operator for the vault or HSM with this audience."""
        return str(self._control("POST", f"/operator-token?resource={audience}")["token"])

    def rotate_signing_keys(self) -> None:
        """Replace the attestation service's signing keys."""
        self._happen(Event.ROTATE_SIGNING_KEYS)

    def reboot(self, image: str = "") -> None:
        """Reboot the VM, into the image of this name: its vTPM is reset and its PCRs are measured again."""
        self._happen(Event.REBOOT, machine=self.machine.number, image=image)

    def extend_pcr(self, pcr: int, *, logged: bool = True) -> None:
        """Measure something new into a PCR; only a reboot undoes that."""
        self._happen(Event.EXTEND_PCR, pcr=pcr, logged=logged, machine=self.machine.number)

    def update_host(self) -> None:
        """Give the host new firmware: the chip's reported TCB rises, and its VCEK is another."""
        self._happen(Event.UPDATE_HOST)

    def publish(self, publication: "Publication") -> None:
        """Have Intel say this of the processor's TCB from now on; Azure Attestation goes by it too."""
        self._control("PUT", "/publication", msgspec.json.encode(publication))

    def rotate_entra_keys(self) -> None:
        """Replace the signing keys of Microsoft Entra."""
        self._happen(Event.ROTATE_ENTRA_KEYS)

    def entra_token(self, order: "TokenOrder") -> str:
        """An access token, good or wrong as ordered."""
        return str(self._control("POST", "/entra-token", msgspec.json.encode(order))["token"])

    @property
    def entra_fetches(self) -> int:
        """How often anybody fetched a key set."""
        return int(self._control("GET", "/entra-fetches"))

    def _happen(self, event: Event, **options: int | str) -> None:
        self._control("POST", f"/events/{event}", msgspec.json.encode(options))

    def _control(self, method: str, path: str, body: bytes = b"") -> Any:
        request = urllib.request.Request(self.endpoints.control_url + path, data=body, method=method)
        return _answer(request, None)

    def vault(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        hsm: bool = False,
    ) -> Any:
        """The answer of the vault, or of the Managed HSM, to the keys' owner. Raises SimulationError."""
        base = self.endpoints.hsm_url if hsm else self.vault_url
        audience = endpoint(base, self.trust.vault_hosts, resource=self.trust.vault_resource, check="vault").resource
        token = self.operator_token(audience)
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        url = f"{base}{path}?api-version={_API_VERSION}"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(url, data=data, method=method, headers=headers)
        return _answer(request, ssl.create_default_context(cadata=self.endpoints.tls_roots))


def _answer(request: urllib.request.Request, tls: ssl.SSLContext | None) -> Any:
    handlers: Sequence[urllib.request.BaseHandler] = [urllib.request.ProxyHandler({})]
    if tls is not None:
        handlers = [*handlers, urllib.request.HTTPSHandler(context=tls)]
    try:
        with urllib.request.build_opener(*handlers).open(request, timeout=30) as response:
            return json.loads(response.read())
    except urllib.error.HTTPError as error:
        raise SimulationError(f"{error.code}: {error.read().decode(errors='replace')}") from error
    except (OSError, http.client.HTTPException) as error:  # URLError is an OSError
        raise SimulationError(f"{request.host} does not answer: the simulation has ended") from error


def _cmk(bundle: Mapping[str, Any]) -> Cmk:
    key = bundle["key"]
    public = _public(key)
    return Cmk(
        kek_id=key["kid"],
        public_thumbprint=jws.thumbprint(public),
        policy_sha256=hashlib.sha256(unb64url(bundle["release_policy"]["data"])).hexdigest(),
        public_jwk=public_jwk(public),
    )


def _public(key: Mapping[str, str]) -> PublicKey:
    def number(name: str) -> int:
        return int.from_bytes(unb64url(key[name]), "big")

    if key["kty"] == "RSA-HSM":
        return rsa.RSAPublicNumbers(number("e"), number("n")).public_key()
    return ec.EllipticCurvePublicNumbers(number("x"), number("y"), CURVES[key["crv"]]()).public_key()
