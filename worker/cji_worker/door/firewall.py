"""The limit of connections for each address, kept by the kernel: a table of nftables that only this file makes.

With `connections_counted_by = "firewall"` the door has no server that counts, and TLS ends where a connection arrives.
A connection above the limit gets no answer to its first packet, before the door spends anything on it.

Contract and invariants
* What is loaded is what is looked for: one list of commands and rules, in nftables' own JSON.
* Closed where anything is missing: a new connection passes only if its address was counted, so a full set, or a packet
  of no known state, is dropped. No other port is touched, and other tables are not changed.
* An address of IPv6 counts with its /64.

Sources: nft(8), "connlimit statement"; libnftables-json(5).
"""

import json
import os
import shutil
import subprocess
from typing import Any, Final

from cji_core.command.findings import NotOk
from cji_core.errors import StartupError
from cji_core.format.configuration.worker import Config
from cji_core.strict import parse_object
from cji_worker.door.config import by_firewall

_FAMILY, _TABLE = "inet", "cji_door"
_PATH: Final = "/usr/sbin:/usr/bin:/sbin:/bin"
_SECONDS: Final = 30
_MAX_LISTED: Final = 64 << 20
"""Bytes of the listed table: all addresses that are counted now are in it."""
_ADDRESSES: Final = 65_535
"""Addresses that have connections at the same time; the door has places for far fewer connections."""
_PRIORITY: Final = -10
"""Before the machine's own filter."""
_NETWORK: Final = "ffff:ffff:ffff:ffff::"
_REMEDY: Final = "Run `cji door limit --config worker.toml` as root, or start cji-door-limit.service."
_Rule = dict[str, Any]


def install(config: Config) -> None:
    """Load the limit, or remove it where the door counts. Needs CAP_NET_ADMIN. Raises StartupError."""
    commands: list[dict[str, Any]] = [{"add": {"table": _named()}}, {"delete": {"table": _named()}}]
    if by_firewall(config):
        commands += [{"add": each} for each in _objects(config)]
    elif not has_nft():
        return  # nothing can be there
    nft("-j", "-f", "-", given=json.dumps({"nftables": commands}))


def require_installed(config: Config) -> str:
    """The limit, and what counts. Raises NotOk unless the kernel has exactly these rules and they can be read."""
    share = f"{config.limits.connections_per_address} connections for each address"
    if not by_firewall(config):
        return f"{share}, counted by the door"
    try:
        if _named() not in [_without(each["table"]) for each in _listed("tables", _FAMILY) if "table" in each]:
            raise NotOk("the firewall has no limit of connections", _REMEDY)
        if _compared(_listed("table", _FAMILY, _TABLE)) != _compared(_objects(config)):
            raise NotOk("the firewall has another limit of connections than worker.toml", _REMEDY)
    except StartupError as error:
        raise unread("the firewall's limit of connections", error) from error
    return f"{share}, counted by the firewall"


def unread(what: str, error: StartupError) -> NotOk:
    """The outcome where rules were not read: a check that did not run, if only the right to read them is missing."""
    if has_nft() and os.geteuid() != 0:
        return NotOk(f"{what} cannot be read without root", _REMEDY, state="not run")
    return NotOk(f"{what} cannot be read: {error.what}", error.remedy)


def _listed(*what: str) -> list[dict[str, Any]]:
    """Objects that the kernel has. Raises StartupError if they cannot be read or understood."""
    try:
        found: list[dict[str, Any]] = parse_object(nft("-j", "list", *what).encode(), limit=_MAX_LISTED)["nftables"]
    except (ValueError, KeyError) as error:
        raise StartupError("nft's list of rules is not understood", _REMEDY) from error
    return found


def _objects(config: Config) -> list[dict[str, Any]]:
    """Table, sets, chains and rules, in the order in which they are made."""
    sets = [
        {"set": _in_table(name=kind, type=f"{kind}_addr", size=_ADDRESSES, flags=["dynamic"])}
        for kind in ("ipv4", "ipv6")
    ]
    chains = [
        {"chain": _in_table(name="counted")},
        {"chain": _in_table(name="input", type="filter", hook="input", prio=_PRIORITY, policy="accept")},
    ]
    state, share = {"ct": {"key": "state"}}, config.limits.connections_per_address
    source = {kind: {"payload": {"protocol": kind, "field": "saddr"}} for kind in ("ip", "ip6")}
    rules = [
        [_match("in", state, ["established", "related"]), {"accept": None}],
        [_match("in", state, "new"), _counted("ipv4", source["ip"], share), {"accept": None}],
        [_match("in", state, "new"), _counted("ipv6", {"&": [source["ip6"], _NETWORK]}, share), {"accept": None}],
        [{"drop": None}],
    ]
    port = _match("==", {"payload": {"protocol": "tcp", "field": "dport"}}, config.listen.port)
    return [
        {"table": _named()},
        *sets,
        *chains,
        *({"rule": _in_table(chain="counted", expr=expression)} for expression in rules),
        {"rule": _in_table(chain="input", expr=[port, {"jump": {"target": "counted"}}])},
    ]


def _named() -> dict[str, str]:
    return {"family": _FAMILY, "name": _TABLE}


def _in_table(**values: object) -> dict[str, object]:
    return {"family": _FAMILY, "table": _TABLE, **values}


def _match(op: str, left: object, right: object) -> _Rule:
    return {"match": {"op": op, "left": left, "right": right}}


def _counted(kind: str, address: object, share: int) -> _Rule:
    """Matches while the address, this connection included, has no more than its share."""
    return {"set": {"op": "add", "elem": address, "set": f"@{kind}", "stmt": [{"ct count": {"val": share}}]}}


def _compared(objects: list[dict[str, Any]]) -> list[str]:
    kinds = ((kind, values) for each in objects for kind, values in each.items() if kind != "metainfo")
    return sorted(json.dumps([kind, _without(values)], sort_keys=True) for kind, values in kinds)


def _without(values: dict[str, Any]) -> dict[str, Any]:
    """Without numbers that the kernel gave, and without the addresses that are counted now."""
    return {name: value for name, value in values.items() if name not in {"handle", "elem"}}


def has_nft() -> bool:
    """Whether nft is installed."""
    return shutil.which("nft", path=_PATH) is not None


def nft(*arguments: str, given: str = "") -> str:
    """Run nft; its output. Raises StartupError."""
    program = shutil.which("nft", path=_PATH)
    if program is None:
        raise StartupError("nft, which loads the firewall's rules, is not installed", "apt-get install nftables")
    try:
        done = subprocess.run(  # noqa: S603 - the program was looked up in system folders
            [program, *arguments], input=given, capture_output=True, text=True, timeout=_SECONDS, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise StartupError(
            f"nft does not answer within {_SECONDS} seconds",
            "End what else changes the firewall's rules on this machine, such as another nft, and start again.",
        ) from error
    if done.returncode:
        raise StartupError(
            "nft refuses the rules of worker.toml",
            'Run this as root with the kernel\'s module nft_connlimit, or set connections_counted_by = "door".',
        )
    return done.stdout
