"""`cji-simulator az`: the commands of the Azure CLI that runbooks use, on the simulated vault and on a pool of workers.

Options and answers are those of the Azure CLI; what the simulator has not, it refuses.
"""

import json
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from cji_simulator.pool_service import ADDRESS
from cji_simulator.simulation import Simulation, SimulationError

__all__ = ["SUBSCRIPTION", "AzError", "run_az"]

SUBSCRIPTION: Final = "00000000-0000-0000-0000-000000000000"
_IMAGE: Final = "virtualMachineProfile.storageProfile.imageReference.id="
_SECONDS: Final = 900.0


class AzError(Exception):
    """The command is not simulated, or was refused."""


def run_az(state: Path, arguments: Sequence[str]) -> str:
    """The output of a command, JSON. Raises AzError, SimulationError."""
    count = next((at for at, word in enumerate(arguments) if word.startswith("-")), len(arguments))
    name, options = " ".join(arguments[:count]), _options(arguments[count:])
    try:
        found = _COMMANDS[name]
    except KeyError:
        raise AzError(f"`az {name}` is not simulated") from None
    return json.dumps(found(state, options), indent=2)


def _options(words: Sequence[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    at = 0
    while at < len(words):
        value = words[at + 1] if at + 1 < len(words) and not words[at + 1].startswith("-") else ""
        found[words[at]] = value
        at += 1 + bool(value)
    return found


def _account(_: Path, __: Mapping[str, str]) -> Any:
    return {"id": SUBSCRIPTION, "environmentName": "AzureCloud", "state": "Enabled"}


def _key(simulation: Simulation, options: Mapping[str, str]) -> str:
    """The path of a key, by its id or its name."""
    if "--id" in options:
        return options["--id"].removeprefix(simulation.vault_url)
    return f"/keys/{options['--name']}"


def _shown(bundle: Mapping[str, Any]) -> Any:
    """A key as the Azure CLI prints it."""
    policy = bundle.get("release_policy", {})
    return {
        "attributes": bundle["attributes"],
        "key": {**bundle["key"], "keyOps": bundle["key"].get("key_ops", [])},
        "releasePolicy": {"encodedPolicy": policy.get("data"), "immutable": policy.get("immutable", False)},
    }


def _show_key(state: Path, options: Mapping[str, str]) -> Any:
    simulation = Simulation.running(state)
    return _shown(simulation.vault("GET", _key(simulation, options)))


def _rotate(state: Path, options: Mapping[str, str]) -> Any:
    simulation = Simulation.running(state)
    return _shown(simulation.vault("POST", f"{_key(simulation, options)}/rotate", {}))


def _set_attributes(state: Path, options: Mapping[str, str]) -> Any:
    simulation = Simulation.running(state)
    change = {"attributes": {"enabled": options["--enabled"] == "true"}}
    return _shown(simulation.vault("PATCH", _key(simulation, options), change))


def _versions(state: Path, options: Mapping[str, str]) -> Any:
    simulation = Simulation.running(state)
    return simulation.vault("GET", f"{_key(simulation, options)}/versions")["value"]


def _pool(state: Path, method: str, path: str, body: Any = None) -> Any:
    try:
        url = json.loads((state / ADDRESS).read_text())["url"]
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{url}{path}", data=data, method=method)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=_SECONDS) as response:
            return json.loads(response.read())
    except (urllib.error.HTTPError, OSError) as error:
        raise AzError(f"the scale set refused {path}: {error}") from error


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
    "keyvault key show": _show_key,
    "keyvault key rotate": _rotate,
    "keyvault key set-attributes": _set_attributes,
    "keyvault key list-versions": _versions,
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
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
