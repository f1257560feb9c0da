"""`cji doctor --azure`: each rule of the network security group that a deployment needs and has not.

A rule counts by what it does, whatever its name: the first one by priority that matches decides, as in Azure. Without
one Azure's own defaults hold, which let every machine call the internet and be called from the virtual network. The
names in findings are those of deploy/bicep/networkSecurity.bicep.
Source: learn.microsoft.com, "Azure network security groups overview" and "Virtual network service tags".
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import Any, Final, Literal

from cji_core.command.findings import Finding
from cji_core.deployment.export import Deployed
from cji_core.format.configuration.worker import Config

_GROUP: Final = "Microsoft.Network/networkSecurityGroups"
_NETWORK: Final = "Microsoft.Network/virtualNetworks"
_SCALE_SET: Final = "Microsoft.Compute/virtualMachineScaleSets"
_TDX: Final = "es_v6"
_AZURE_DNS: Final = "168.63.129.16"
_ANYWHERE: Final = frozenset({"*", "0.0.0.0/0", "::/0"})
_DOCUMENTATION: Final = ip_network("192.0.2.0/24")
_HTTPS, _DNS, _SSH, _PROBE, _DOOR = 443, 53, 22, 9465, 8443
_CLIENT: Final = "some client"
_FILE: Final = "deploy/bicep/networkSecurity.bicep"
_Access = Literal["Allow", "Deny"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Need:
    """Traffic that a rule must let through or stop. `other` is the end that is not the worker."""

    rule: str
    direction: Literal["Inbound", "Outbound"]
    other: str
    port: int
    protocol: str = "Tcp"
    access: _Access = "Allow"
    remedy: str = f"Deploy {_FILE} again."


def network_findings(deployed: Deployed, config: Config | None) -> list[Finding]:
    """One finding for each rule that is missing, or one that says that none is."""
    groups = deployed.of(_GROUP)
    if not groups:
        remedy = "Export the resource group of the workers."
        return [Finding(name="network rules", state="not run", found="no network security group", remedy=remedy)]
    needs = list(_needs(deployed, config))
    found = []
    for group in groups:
        rules = _rules(group.body)
        missing = {need.rule: need for need in needs if _decided(rules, need) != need.access}
        if _tdx(deployed) and not _collateral(rules):
            missing["collateral-out"] = _Need(
                rule="collateral-out",
                direction="Outbound",
                other="Intel's collateral",
                port=_HTTPS,
                remedy="Deploy with collateralAddressPrefixes: a proxy that passes TLS on to "
                "api.trustedservices.intel.com and certificates.trustedservices.intel.com, and nothing else.",
            )
        found += [_missing(group.name, need) for need in missing.values()]
    names = sorted({need.rule for need in needs})
    return found or [Finding(name="network rules", state="ok", found=f"none is missing: {', '.join(names)}", remedy="")]


def _missing(group: str, need: _Need) -> Finding:
    verb = "not allowed" if need.access == "Allow" else "allowed"
    way = "to" if need.direction == "Outbound" else "from"
    return Finding(
        name=f"network rule {need.rule} of {group}",
        state="failed",
        found=f"{need.protocol} {way} {need.other}, port {need.port}, is {verb}: no such rule, or another one is first",
        remedy=need.remedy,
    )


def _needs(deployed: Deployed, config: Config | None) -> Iterator[_Need]:
    port = _DOOR if config is None else config.listen.port
    clients = "Give the addresses of the upstream apps as clientAddressPrefixes."
    yield _Need(rule="clients-in", direction="Inbound", other=_CLIENT, port=port, remedy=clients)
    yield _Need(rule="probe-in", direction="Inbound", other="AzureLoadBalancer", port=_PROBE)
    yield _Need(rule="nothing-else-in", direction="Inbound", other="VirtualNetwork", port=_SSH, access="Deny")
    yield _Need(rule="private-endpoints-out", direction="Outbound", other="VirtualNetwork", port=_HTTPS)
    yield _Need(rule="nothing-else-out", direction="Outbound", other="Internet", port=_HTTPS, access="Deny")
    for server in sorted(_name_servers(deployed)):
        for protocol in ("Udp", "Tcp"):
            yield _Need(
                rule="dns-out",
                direction="Outbound",
                other=server,
                port=_DNS,
                protocol=protocol,
                remedy=f"Deploy with {server} in dnsServerAddresses.",
            )
    if config is not None and config.entra is not None:
        yield _Need(
            rule="entra-out",
            direction="Outbound",
            other="AzureActiveDirectory",
            port=_HTTPS,
            remedy="Deploy with entraTokens = true.",
        )


def _name_servers(deployed: Deployed) -> set[str]:
    """Those of the virtual networks in the export, but Azure's own."""
    options = [_at(each.body, "properties", "dhcpOptions", "dnsServers") for each in deployed.of(_NETWORK)]
    return {str(one) for each in options if isinstance(each, list) for one in each} - {_AZURE_DNS}


def _tdx(deployed: Deployed) -> bool:
    return any(str(_at(each.body, "sku", "name")).lower().endswith(_TDX) for each in deployed.of(_SCALE_SET))


def _rules(group: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Properties of the rules, the one that decides first in front."""
    listed = _at(group, "properties", "securityRules")
    found = [each.get("properties") for each in listed if isinstance(each, Mapping)] if isinstance(listed, list) else []
    return sorted((each for each in found if isinstance(each, Mapping)), key=_priority)


def _priority(rule: Mapping[str, Any]) -> int:
    value = rule.get("priority")
    return value if isinstance(value, int) else 1 << 16


def _decided(rules: Sequence[Mapping[str, Any]], need: _Need) -> str:
    for rule in rules:
        if (
            rule.get("direction") == need.direction
            and str(rule.get("protocol")).lower() in {"*", need.protocol.lower()}
            and any(_has_port(each, need.port) for each in _several(rule, "destinationPortRange"))
            and _matches(rule, need)
        ):
            return str(rule.get("access"))
    return "Allow" if need.direction == "Outbound" or need.other == "VirtualNetwork" else "Deny"


def _matches(rule: Mapping[str, Any], need: _Need) -> bool:
    if need.direction == "Outbound":
        return any(_has_address(each, need.other) for each in _several(rule, "destinationAddressPrefix"))
    sources = _several(rule, "sourceAddressPrefix")
    if need.other == _CLIENT:  # who they are is the agency's: a rule that stops some of them is too
        return rule.get("access") == "Allow" or any(each in _ANYWHERE for each in sources)
    return any(_has_address(each, need.other) for each in sources)


def _collateral(rules: Sequence[Mapping[str, Any]]) -> bool:
    """Whether HTTPS is allowed to some address, which is Intel's or a firewall's."""
    return any(
        rule.get("direction") == "Outbound"
        and rule.get("access") == "Allow"
        and any(_has_port(each, _HTTPS) for each in _several(rule, "destinationPortRange"))
        and bool(_addresses(_several(rule, "destinationAddressPrefix")))
        for rule in rules
    )


def _addresses(prefixes: Sequence[str]) -> list[str]:
    """Those that are addresses: no tags, and not those of documentation."""
    found = []
    for each in prefixes:
        with suppress(ValueError):
            if ip_network(each, strict=False).network_address not in _DOCUMENTATION:
                found.append(each)
    return found


def _has_address(prefix: str, wanted: str) -> bool:
    if prefix in _ANYWHERE or prefix.lower() == wanted.lower():
        return True
    try:
        return ip_address(wanted) in ip_network(prefix, strict=False)
    except ValueError:
        return False


def _has_port(spoken: str, port: int) -> bool:
    first, _, last = spoken.partition("-")
    if spoken == "*":
        return True
    return first.isdecimal() and int(first) <= port <= int(last if last.isdecimal() else first)


def _several(rule: Mapping[str, Any], name: str) -> list[str]:
    """A member that Azure has once, or as a list under its plural."""
    plural = f"{name}es" if name.endswith("x") else f"{name}s"
    listed = rule.get(plural)
    one = rule.get(name)
    return [str(each) for each in (listed if isinstance(listed, list) else [])] + ([str(one)] if one else [])


def _at(body: Any, *path: str) -> Any:
    for name in path:
        if not isinstance(body, Mapping):
            return None
        body = body.get(name)
    return body
