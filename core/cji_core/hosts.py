"""Hosts that a name in a configuration must not be, and the two kinds of host that plain HTTP may reach."""

from ipaddress import ip_address
from typing import Final

IMDS: Final = "169.254.169.254"
WIRE_SERVER: Final = "168.63.129.16"
METADATA: Final = frozenset({IMDS, WIRE_SERVER})
"""Azure's own two addresses on every machine: the instance metadata service and the wire server."""


def is_loopback(host: str) -> bool:
    """Whether the host is an address of this machine's loopback; a name is not one."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def is_metadata(host: str) -> bool:
    """Whether the host is one of Azure's own two addresses."""
    return host in METADATA
