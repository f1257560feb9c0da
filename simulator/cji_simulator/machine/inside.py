"""Programs that run as root inside the booted image, from a second disk that only a simulation attaches.

`python inside.py prepare` gives the machine the simulation's configuration where a bundle would put it; `network` makes
the simulation's services, which are outside, reachable at their addresses. Nothing of this is in the image.
"""

import asyncio
import fcntl
import json
import shutil
import socket
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

DISK: Final = Path(__file__).parent
FACTS: Final[dict[str, Any]] = json.loads((DISK / "facts.json").read_text())
CONFIG: Final = Path("/run/cji/config")
HOST: Final[str] = FACTS["outside"]
_SIOCSIFADDR: Final = 0x8916
_IMDS: Final = bytes((169, 254, 169, 254))
_WIRE_SERVER: Final = bytes((168, 63, 129, 16))


def prepare() -> None:
    """The files of worker and door, with the owners that a bundle would give them."""
    CONFIG.mkdir(parents=True)
    CONFIG.parent.chmod(0o711)
    (CONFIG / "seeds").mkdir()
    for path in (DISK / "config" / "seeds").iterdir():
        copy = CONFIG / "seeds" / path.name
        shutil.copyfile(path, copy)
        shutil.chown(copy, "cji", "cji")
        copy.chmod(0o400)
    for path in (DISK / "config").iterdir():
        if path.is_dir():
            continue
        copy = CONFIG / path.name
        shutil.copyfile(path, copy)
        shutil.chown(copy, "root", "cji-door" if path.name.startswith(("server", "client-roots")) else "cji")
        copy.chmod(0o644 if path.suffix == ".pem" else 0o640)
    shutil.chown(CONFIG / "server.key", "root", "cji-door")
    door = subprocess.run(
        ["/opt/cji/bin/cji", "door", "config", "--config", CONFIG / "worker.toml"], stdout=subprocess.PIPE, check=True
    )
    (CONFIG / "door.conf").write_bytes(door.stdout)
    shutil.chown(CONFIG / "door.conf", "root", "cji-door")
    subprocess.run(["/usr/sbin/nft", "-f", "-"], input=_RULES.encode(), check=False)


_RULES = f"""
insert rule inet cji output ip daddr {HOST} accept
insert rule inet cji input ip saddr {HOST} accept
insert rule inet cji output ip saddr 169.254.169.254 tcp sport 80 accept
"""


async def network() -> None:
    """Each of the simulation's ports on loopback leads to the same port outside; so does the metadata service's."""

    async def serve(address: str, own: int, port: int) -> None:
        async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                other_reader, other_writer = await asyncio.open_connection(HOST, port)
            except OSError:
                writer.close()
                return
            await asyncio.gather(_copy(reader, other_writer), _copy(other_reader, writer))

        await (await asyncio.start_server(relay, address, own)).serve_forever()

    for alias, own_address in ((b"lo:1", _IMDS), (b"lo:2", _WIRE_SERVER)):
        request = struct.pack("16sHH4s8x", alias, socket.AF_INET, 0, own_address)
        fcntl.ioctl(socket.socket(), _SIOCSIFADDR, request)
    to_itself = [serve("127.0.0.1", port, port) for port in FACTS["ports"]]
    await asyncio.gather(
        *to_itself,
        serve(socket.inet_ntoa(_IMDS), 80, FACTS["metadata_port"]),
        serve(socket.inet_ntoa(_WIRE_SERVER), 80, FACTS["wire_port"]),
    )


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()


if __name__ == "__main__":
    match sys.argv[1]:
        case "prepare":
            prepare()
        case "network":
            asyncio.run(network())
