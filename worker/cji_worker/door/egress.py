"""The public addresses that the keyholder may reach, in the set that the image's firewall has for them.

In the image nobody reaches an address outside of the private network. Two services have no private endpoint: Microsoft
Entra, for keys of tokens, and Intel, for a TDX processor's collateral. Their addresses change without the image, so
they come with the signed configuration, `egress` in worker.toml, and are put into the set `public` of the table `cji`
(deploy/image/extra/etc/nftables.conf), which one rule reads: HTTPS, by the keyholder's user alone. The network security
group, or a firewall behind it, decides once more, and host and certificate are checked by the worker.

Contract and invariants
* The set has exactly what the configuration says, and nothing of an earlier one.
* Where the machine's firewall has no such set, as outside of the image, only an empty list is in order. A firewall that
  cannot be read is not one without the set: then nothing is said of it.

Sources: nft(8), "Sets"; libnftables-json(5).
"""

import json
from ipaddress import IPv4Network
from typing import Any, Final

from cji_core.command.findings import NotOk
from cji_core.errors import StartupError
from cji_core.format.configuration.worker import Config
from cji_core.strict import parse_object
from cji_worker.door.firewall import has_nft, nft, unread

_SET: Final = {"family": "inet", "table": "cji", "name": "public"}
_MAX_LISTED: Final = 1 << 20
_REMEDY: Final = (
    "Run `cji door limit --config worker.toml` as root, or start cji-door-limit.service. Outside of the image, remove "
    "`egress` and allow the addresses in the machine's own firewall and the unit's IPAddressAllow."
)


def open_public(config: Config) -> None:
    """Put the addresses into the set, and take all others out. Needs CAP_NET_ADMIN. Raises StartupError."""
    if not config.egress and _listed() is None:
        return
    element = {"add": {"element": {**_SET, "elem": [_element(each) for each in sorted(_wanted(config))]}}}
    commands = [{"flush": {"set": _SET}}, *([element] if config.egress else [])]
    nft("-j", "-f", "-", given=json.dumps({"nftables": commands}))


def require_open(config: Config) -> str:
    """The number of ranges that the keyholder may reach. Raises NotOk unless the set is exactly that."""
    wanted = frozenset(map(str, _wanted(config)))
    try:
        listed = _listed() or frozenset()
    except StartupError as error:
        if wanted:
            raise unread("the firewall's set `public`", error) from error
        return "public ranges not read, which needs root"
    if listed != wanted:
        missing, foreign = (", ".join(sorted(each)) or "none" for each in (wanted - listed, listed - wanted))
        what = f"the firewall's set `public` is not that of `egress`; missing: {missing}; not named: {foreign}"
        raise NotOk(what, _REMEDY)
    return f"public ranges open to the keyholder: {len(wanted)}"


def _wanted(config: Config) -> frozenset[IPv4Network]:
    return frozenset(map(IPv4Network, config.egress))


def _listed() -> frozenset[str] | None:
    """The elements of the kernel's set; None without the set. Raises StartupError if that cannot be seen."""
    if not has_nft():
        return None  # nothing can be there
    try:
        if not any(each.items() >= _SET.items() for each in _sets("-t", "list", "sets", _SET["family"])):
            return None
        (found,) = _sets("list", "set", *_SET.values())
        return frozenset(map(_text, found.get("elem", [])))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StartupError("nft's list of the set `public` is not understood", _REMEDY) from error


def _sets(*arguments: str) -> list[dict[str, Any]]:
    """The sets that nft lists."""
    found = parse_object(nft("-j", *arguments).encode(), limit=_MAX_LISTED)["nftables"]
    return [each["set"] for each in found if "set" in each]


def _element(network: IPv4Network) -> Any:
    return {"prefix": {"addr": str(network.network_address), "len": network.prefixlen}}


def _text(element: Any) -> str:
    """An address or a prefix, as `egress` writes it; an element of another form, such as a range, as nft writes it."""
    match element:
        case str():
            return str(IPv4Network(element))
        case {"prefix": {"addr": str(address), "len": int(length)}}:
            return str(IPv4Network(f"{address}/{length}"))
    return json.dumps(element)
