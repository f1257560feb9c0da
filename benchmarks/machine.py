"""Facts about the machine on which figures depend."""

import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Final

__all__ = ["at_most_cores", "facts", "image_socket_bytes", "socket_bytes"]

_PACKAGES: Final = ("cryptography", "grpcio", "numpy", "protobuf", "pyarrow")


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        key, _, value = line.partition(":")
        if key.strip() == "model name":
            return value.strip()
    return platform.machine()


def facts() -> dict[str, str | int]:
    """The day (UTC), CPU model, cores of this process, MiB, kernel, bytes of a socket, Python and packages."""
    return {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_mib": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20,
        "kernel": platform.release(),
        "socket": socket_bytes(),
        "python": platform.python_version(),
        **{name: version(name) for name in _PACKAGES},
    }


def socket_bytes() -> int:
    """Bytes that a socket between door and front takes before its writer waits."""
    return int(Path("/proc/sys/net/core/wmem_default").read_text())


def image_socket_bytes() -> int:
    """The same on a machine with the worker's kernel settings, as the image is."""
    text = (Path(__file__).parents[1] / "deploy" / "systemd" / "cji-worker.sysctl.conf").read_text()
    (found,) = (line for line in text.splitlines() if line.startswith("net.core.wmem_default"))
    return int(found.partition("=")[2])


@contextmanager
def at_most_cores(count: int) -> Iterator[None]:
    """Run this thread, and every process and thread that it starts meanwhile, on `count` cores or fewer."""
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(allowed)[:count])
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)
