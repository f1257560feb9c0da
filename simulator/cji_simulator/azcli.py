"""`cji-simulator az`: the commands of the Azure CLI that runbooks use, on the simulated vault and on a pool of workers.

Options and answers are those of the Azure CLI; what the simulator has not, it refuses.
"""

import json
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from cji_simulator.encoding import b64url, unb64url
from cji_simulator.endpoints import POOL
from cji_simulator.errors import SimulatorError
from cji_simulator.simulation import Simulation, SimulationError

__all__ = ["SECOND_VAULT", "SUBSCRIPTION", "AzError", "run_az"]

SUBSCRIPTION: Final = "00000000-0000-0000-0000-000000000000"
SECOND_VAULT: Final = "cji-kv-second"
"""Name of the vault in another region; every other name is the first vault's."""
_NOT_FOUND: Final = 3
_LIFETIME_S: Final = 3600
_IMAGE: Final = "virtualMachineProfile.storageProfile.imageReference.id="
_SECONDS: Final = 900.0


class AzError(SimulatorError):
    """The command is not simulated, or was refused; `status` is the exit status of the Azure CLI, 3 for not found."""

    code = "az-refused"
    remedy = "Correct the command."

    def __init__(self, message: str, *, status: int = 1) -> None:
        super().__init__(message)
        self.status = status


def run_az(state: Path, arguments: Sequence[str]) -> str:
    """The output of a command, JSON. Raises AzError, SimulationError."""
    count = next((at for at, word in enumerate(arguments) if word.startswith("-")), len(arguments))
    name, options = " ".join(arguments[:count]), _options(arguments[count:])
    try:
        found = _COMMANDS[name]
    except KeyError:
        raise AzError(f"`az {name}` is not simulated") from None
    try:
        return json.dumps(found(state, options), indent=2)
    except SimulationError as error:
        if not str(error).startswith("404:"):
            raise
        raise AzError(str(error), status=_NOT_FOUND) from error


def _options(words: Sequence[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    at = 0
    while at < len(words):
        value = words[at + 1] if at + 1 < len(words) and not words[at + 1].startswith("-") else ""
        found[words[at]] = value
        at += 2 if value else 1
    return found


def _account(_: Path, __: Mapping[str, str]) -> Any:
    return {"id": SUBSCRIPTION, "environmentName": "AzureCloud", "state": "Enabled"}


def _token(state: Path, options: Mapping[str, str]) -> Any:
    """As the SDK's credential for the Azure CLI asks for it."""
    token = Simulation.running(state).operator_token(options["--resource"])
    return {"accessToken": token, "expires_on": int(time.time()) + _LIFETIME_S, "tokenType": "Bearer"}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Key:
    """A key by its id, or by the names of vault and key."""

    simulation: Simulation
    name: str

    @classmethod
    def of(cls, state: Path, options: Mapping[str, str]) -> Self:
        simulation = Simulation.running(state)
        if "--id" in options:
            second = options["--id"].startswith(simulation.second_region.vault_url)
            name = options["--id"].partition("/keys/")[2]
        else:
            second, name = options["--vault-name"] == SECOND_VAULT, options.get("--name", "")
        return cls(simulation=simulation.second_region if second else simulation, name=name)

    def ask(self, method: str, path: str = "", body: Mapping[str, Any] | None = None, *, of: str = "keys") -> Any:
        return self.simulation.vault(method, f"/{of}/{self.name}{path}", body)


def _shown(bundle: Mapping[str, Any]) -> Any:
    """A key as the Azure CLI prints it."""
    policy = bundle.get("release_policy", {})
    return {
        "attributes": bundle["attributes"],
        "key": {**bundle["key"], "keyOps": bundle["key"].get("key_ops", [])},
        "releasePolicy": {"encodedPolicy": policy.get("data"), "immutable": policy.get("immutable", False)},
    }


def _show_key(state: Path, options: Mapping[str, str]) -> Any:
    return _shown(_Key.of(state, options).ask("GET"))


def _rotate(state: Path, options: Mapping[str, str]) -> Any:
    return _shown(_Key.of(state, options).ask("POST", "/rotate", {}))


def _set_attributes(state: Path, options: Mapping[str, str]) -> Any:
    change: dict[str, Any] = {}
    if "--enabled" in options:
        change["attributes"] = {"enabled": options["--enabled"] == "true"}
    if "--policy" in options:
        policy = b64url(Path(options["--policy"]).read_bytes())
        change["release_policy"] = {"data": policy, "immutable": options.get("--immutable") == "true"}
    return _shown(_Key.of(state, options).ask("PATCH", "" if "--id" in options else "/", change))


def _versions(state: Path, options: Mapping[str, str]) -> Any:
    return _Key.of(state, options).ask("GET", "/versions")["value"]


def _backup(state: Path, options: Mapping[str, str]) -> Any:
    Path(options["--file"]).write_bytes(unb64url(_Key.of(state, options).ask("POST", "/backup", {})["value"]))


def _restore(state: Path, options: Mapping[str, str]) -> Any:
    backup = b64url(Path(options["--file"]).read_bytes())
    return _shown(_Key.of(state, options).ask("POST", "restore", {"value": backup}))


def _show_vault(state: Path, options: Mapping[str, str]) -> Any:
    if options["--name"] != SECOND_VAULT and Simulation.running(state).vault_deleted:
        raise AzError(f"The Vault '{options['--name']}' was not found", status=_NOT_FOUND)
    return {"name": options["--name"]}


def _recover_vault(state: Path, options: Mapping[str, str]) -> Any:
    Simulation.running(state).recover_vault()
    return _show_vault(state, options)


def _pool(state: Path, method: str, path: str, body: Any = None) -> Any:
    try:
        url = json.loads((state / POOL).read_text())["url"]
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{url}{path}", data=data, method=method)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=_SECONDS) as response:
            return json.loads(response.read())
    except urllib.error.HTTPError as error:
        status = _NOT_FOUND if error.code == 404 else 1
        raise AzError(f"the scale set refused {path}: {error.read().decode()}", status=status) from error
    except OSError as error:
        raise AzError(f"the scale set does not answer: {error}") from error


def _list_sets(state: Path, options: Mapping[str, str]) -> Any:
    try:
        return [_show_set(state, options)]
    except AzError as error:
        if error.status != _NOT_FOUND:
            raise
        return []


def _show_set(state: Path, _: Mapping[str, str]) -> Any:
    image = _pool(state, "GET", "/model")["image"]
    return {"virtualMachineProfile": {"storageProfile": {"imageReference": {"id": image}}}}


def _update(state: Path, options: Mapping[str, str]) -> Any:
    if not options["--set"].startswith(_IMAGE):
        raise AzError("only the image of the model can be set")
    _pool(state, "PUT", "/model", {"image": options["--set"].removeprefix(_IMAGE)})
    return _show_set(state, options)


def _view(state: Path, options: Mapping[str, str]) -> Any:
    found = next(each for each in _pool(state, "GET", "/instances") if each["instanceId"] == options["--instance-id"])
    return {"statuses": [{"code": f"PowerState/{'running' if found['running'] else 'deallocated'}"}]}


def _posts(path: str) -> Callable[[Path, Mapping[str, str]], Any]:
    return lambda state, _: _pool(state, "POST", path)


_COMMANDS: Final[Mapping[str, Callable[[Path, Mapping[str, str]], Any]]] = {
    "account show": _account,
    "account get-access-token": _token,
    "keyvault key show": _show_key,
    "keyvault key rotate": _rotate,
    "keyvault key set-attributes": _set_attributes,
    "keyvault key list-versions": _versions,
    "keyvault key delete": lambda state, options: _shown(_Key.of(state, options).ask("DELETE")),
    "keyvault key show-deleted": lambda state, options: _shown(_Key.of(state, options).ask("GET", of="deletedkeys")),
    "keyvault key backup": _backup,
    "keyvault key restore": _restore,
    "keyvault show": _show_vault,
    "keyvault recover": _recover_vault,
    "vmss list": _list_sets,
    "vmss delete": lambda state, _: _pool(state, "DELETE", "/"),
    "vmss show": _show_set,
    "vmss update": _update,
    "vmss list-instances": lambda state, _: _pool(state, "GET", "/instances"),
    "vmss get-instance-view": _view,
    "vmss restart": lambda state, options: _pool(state, "POST", f"/instances/{options['--instance-ids']}/restart"),
    "vmss deallocate": _posts("/deallocate"),
    "vmss start": _posts("/start"),
    "vmss rolling-upgrade start": _posts("/rolling-upgrade"),
    "vmss rolling-upgrade get-latest": lambda state, _: {"runningStatus": _pool(state, "GET", "/rolling-upgrade")},
    "operator add-key": _posts("/operator/add-key"),
    "operator renew": _posts("/operator/renew"),
}
"""`operator` is not the Azure CLI's: it does what a runbook leaves to a person."""


def main(arguments: Sequence[str]) -> int:
    """`python -m cji_simulator.azcli STATE WORDS`: as `cji-simulator az`, without the rest of the program."""
    try:
        print(run_az(Path(arguments[0]), arguments[1:]))
    except (AzError, SimulationError) as error:
        print(error, file=sys.stderr)
        return getattr(error, "status", 1)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
