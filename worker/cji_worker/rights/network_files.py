"""Files that a process reads, some of them only when first needed, to find and trust the services it connects to."""

from typing import Final

LIBRARIES: Final = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/etc/ld.so.cache")
"""Of name lookup, and for the keyholder of the TPM's interface."""
NAMES: Final = (
    *("/etc/resolv.conf", "/etc/hosts", "/etc/host.conf", "/etc/nsswitch.conf", "/etc/gai.conf", "/etc/services"),
    "/run/systemd/resolve",
)
ROOTS: Final = ("/etc/ssl", "/usr/share/ca-certificates", "/etc/pki")
"""Roots of trust of the system, and OpenSSL's own configuration."""
KERNEL: Final = ("/dev/urandom", "/proc/self")
"""Seeds; the files that this process has mapped."""
FIPS_VARIABLES: Final = ("OPENSSL_CONF", "OPENSSL_MODULES")
DNS_PORT: Final = 53
"""TCP; UDP is not limited by Landlock."""
NETWORK_FILES: Final = (*LIBRARIES, *NAMES, *ROOTS, *KERNEL)
