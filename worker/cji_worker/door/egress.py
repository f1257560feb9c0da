"""The public addresses that the keyholder may reach, in the set that the image's firewall has for them.

In the image nobody reaches an address outside of the private network. Two services have no private endpoint: Microsoft
Entra, for keys of tokens, and Intel, for a TDX processor's collateral. Their addresses change without the image, so
they come with the signed configuration, `egress` in worker.toml, and are put into the set `public` of the table `cji`
(deploy/image/extra/etc/nftables.conf), which one rule reads: HTTPS, by the keyholder's user alone. The network security
group, or a firewall behind it, decides once more, and host and certificate are checked by the worker.

Contract and invariants
* The set has exactly what the configuration says, and nothing of an earlier one.
* Where the machine's firewall has no such set, as outside of the image, only an empty list is in order.

Sources: nft(8), "Sets"; libnftables-json(5).
"""

import json
from ipaddress import IPv4Network, ip_network
from typing import Any, Final

from cji_core.command.findings import NotOk
from cji_core.errors import StartupError
from cji_core.format.configuration.worker import Config
from cji_core.strict import parse_object
from cji_worker.door.firewall import nft

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
    listed, wanted = _listed(), _wanted(config)
    if listed != wanted and not (listed is None and not wanted):
        missing = sorted(map(str, wanted - (listed or frozenset()))) or ["none"]
        raise NotOk(f"the firewall's set `public` is not that of `egress`; missing: {', '.join(missing)}", _REMEDY)
    return f"public ranges open to the keyholder: {len(wanted)}"


def _wanted(config: Config) -> frozenset[IPv4Network]:
    return frozenset(map(IPv4Network, config.egress))


def _listed() -> frozenset[IPv4Network] | None:
    """The ranges in the kernel's set; None without the set, or without the right to read it."""
    try:
        found = parse_object(nft("-j", "list", "set", *_SET.values()).encode(), limit=_MAX_LISTED)["nftables"]
        (elements,) = (each["set"].get("elem", []) for each in found if "set" in each)
        return frozenset(map(_network, elements))
    except (StartupError, ValueError, KeyError, TypeError):
        return None


def _element(network: IPv4Network) -> Any:
    return {"prefix": {"addr": str(network.network_address), "len": network.prefixlen}}


def _network(element: Any) -> IPv4Network:
    """One element as nft lists it: an address, or a prefix. A range is none that this file makes: ValueError."""
    text = element if isinstance(element, str) else "{addr}/{len}".format(**element["prefix"])
    found = ip_network(text)
    if not isinstance(found, IPv4Network):
        raise TypeError(text)
    return found
