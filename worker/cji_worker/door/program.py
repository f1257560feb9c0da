"""nginx on this machine: which build, whether it accepts a configuration, and the module that a running door uses."""

import contextlib
import os
import re
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from cji_core.errors import StartupError
from cji_core.format.configuration.worker import Config
from cji_worker.door.config import Build, door_config, private_folder

CONFIG_NAME: Final = "door.conf"
"""Of the configuration's file."""
_MIN_VERSION: Final = (1, 26)
_MIN_OPENSSL: Final = (3,)
_SECONDS: Final = 30
_PATH: Final = "/usr/sbin:/usr/bin:/sbin:/bin"
_INSTALL: Final = "apt-get install --no-install-recommends nginx-light libnginx-mod-stream"


def find() -> str:
    """The path of nginx. Raises StartupError if it is not installed."""
    program = shutil.which("nginx", path=_PATH)
    if program is None:
        raise StartupError("nginx, the TLS door, is not installed", _INSTALL)
    return program


def installed() -> Build:
    """The build that is installed. Raises StartupError for one that cannot be the door."""
    done = subprocess.run([find(), "-V"], capture_output=True, text=True, timeout=_SECONDS, check=False)  # noqa: S603
    build = read_build(done.stderr)
    if build.stream_module is not None and not os.path.isfile(build.stream_module):
        raise StartupError("nginx is installed without its stream module", _INSTALL)
    return build


def read_build(text: str) -> Build:
    """The build that `nginx -V` describes. Raises StartupError for one that cannot be the door."""
    version = re.search(r"^nginx version: nginx/(\d{1,4})\.(\d{1,4})\.", text, re.MULTILINE)
    library = re.search(r"running with OpenSSL (\d{1,4})\.(\d{1,4})\.", text) or re.search(
        r"built with OpenSSL (\d{1,4})\.(\d{1,4})\.", text
    )
    options = text.partition("configure arguments:")[2].split()
    stream = next((each for each in options if each in ("--with-stream", "--with-stream=dynamic")), None)
    folder = next((each.partition("=")[2] for each in options if each.startswith("--modules-path=")), None)
    remedy = f"Use nginx 1.26 or later with OpenSSL 3, as in Debian 13: {_INSTALL}"
    if version is None or library is None or _pair(version) < _MIN_VERSION or _pair(library) < _MIN_OPENSSL:
        raise StartupError("nginx is older than 1.26, or has another library than OpenSSL 3", remedy)
    needed = {"--with-http_ssl_module", "--with-http_v2_module"}
    if stream is None or not needed <= set(options) or (stream != "--with-stream" and folder is None):
        raise StartupError("nginx was built without TLS, HTTP/2 or the stream module", remedy)
    module = None if stream == "--with-stream" else f"{folder}/ngx_stream_module.so"
    return Build(_pair(version), _pair(library), module)


def _pair(found: re.Match[str]) -> tuple[int, int]:
    return int(found[1]), int(found[2])


def refusal(config: Config, build: Build) -> str:
    """The reason for which nginx refuses the configuration and its TLS files, or nothing.

    It binds none of the configuration's addresses, and uses the module that OPENSSL_CONF and OPENSSL_MODULES name.
    """
    host, port = _free(config)
    with tempfile.TemporaryDirectory(prefix="cji-") as folder:
        listen = msgspec.structs.replace(config.listen, host=host, port=port, socket=f"{folder}/front.sock")
        elsewhere = msgspec.structs.replace(config, listen=listen)
        os.mkdir(private_folder(elsewhere))
        file = Path(folder, CONFIG_NAME)
        file.write_text(door_config(elsewhere, build))
        done = subprocess.run(  # noqa: S603 - the program was looked up in system folders
            [find(), "-t", "-q", "-e", "stderr", "-c", str(file)],
            env={"PATH": _PATH, **module_variables()},
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
    if not done.returncode:
        return ""
    return next(iter(re.findall(r"\[emerg\] (?:\d+#\d+: )?(.*)", done.stderr)), "it ended without a reason")


def _free(config: Config) -> tuple[str, int]:
    """A loopback address of the configured kind, with a port that nobody has. Raises StartupError if there is none."""
    host, family = ("::1", socket.AF_INET6) if ":" in config.listen.host else ("127.0.0.1", socket.AF_INET)
    try:
        with socket.create_server((host, 0), family=family) as found:
            return host, found.getsockname()[1]
    except OSError as error:
        raise StartupError("This machine has no address of the kind of listen.host", "Set another host.") from error


def module_variables() -> dict[str, str]:
    """The variables of this process that select a cryptographic module."""
    return {name: os.environ[name] for name in ("OPENSSL_CONF", "OPENSSL_MODULES") if name in os.environ}


class RunningDoor(NamedTuple):
    """The configuration of a door that runs: the fronts that it leads to, and whether it counts connections itself."""

    fronts: int
    counts: bool


def running(config: Config) -> dict[str, RunningDoor]:
    """The doors of this worker by process id: masters of nginx whose configuration leads to its socket."""
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, UnicodeDecodeError):
            title = (process / "cmdline").read_bytes().rstrip(b"\0 ").decode()
            if title.startswith("nginx: master process") and title.endswith(f"/{CONFIG_NAME}"):
                text = Path(title.rpartition(" -c ")[2]).read_text()
                if f" unix:{config.listen.socket} " in text:
                    found[process.name] = RunningDoor(text.count("max_conns="), "limit_conn address " in text)
    return found
