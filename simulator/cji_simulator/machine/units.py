"""The units that bring the simulation into the booted image, by an archive that is appended to its initrd.

One of them takes the place of `cji-bundle.service`. The initrd mounts them over /usr/local/lib of the root; in
/run/systemd they would not outlive the change to an init that is not systemd. The root itself, its hash and the command
line are those of the image; only the digest of the initrd differs, and the prediction is made from what is booted.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from cji_deploy.image.stub_initrd import Entry, newc

__all__ = ["DISK", "PYTHON", "simulation_initrd"]

DISK: Final = "/run/cji-simulation"
"""The mount point of the disk with the files of the simulation."""
PYTHON: Final = "/opt/cji/bin/python"
_SITE: Final = "/opt/cji/lib/python3.13/site-packages"
_WORKER: Final = f"{PYTHON} -S -s -P --check-hash-based-pycs always {DISK}/launch.py worker_inside {_SITE}:{DISK}"

_COPY: Final = """\
[Unit]
DefaultDependencies=no
RequiresMountsFor=/sysroot
After=initrd-root-fs.target
Before=initrd.target initrd-switch-root.target initrd-cleanup.service
[Service]
Type=oneshot
ExecStart=/usr/bin/systemd-tmpfiles --create /etc/cji-simulation.conf
ExecStart=/usr/bin/mount --bind /run/cji-units /sysroot/usr/local/lib
"""
_COPIED: Final = "[Unit]\nRequires=cji-simulation.service\nAfter=cji-simulation.service\n"
_PATIENT: Final = """\
[Manager]
# an emulated processor on a busy host takes minutes to find its disks
DefaultDeviceTimeoutSec=15min
"""
_PLACES: Final = """\
d /run/cji-simulation
d /run/cji-units
d /run/cji-units/systemd
C /run/cji-units/systemd/system - - - - /cji-simulation
"""
_MOUNT: Final = f"""\
[Unit]
DefaultDependencies=no
[Mount]
What=/dev/disk/by-id/virtio-cji-simulation
Where={DISK}
Type=erofs
Options=ro,nosuid,nodev
"""
_PREPARE: Final = f"""\
[Unit]
RequiresMountsFor={DISK}
After=nftables.service systemd-tmpfiles-setup.service
Before=cji-worker.service cji-door.service cji-console.service cji-audit.service
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart={PYTHON} {DISK}/inside.py prepare
ExecStartPost=/usr/bin/systemctl restart cji-broker.service
StandardError=journal+console
"""
_NETWORK: Final = f"""\
[Unit]
RequiresMountsFor={DISK}
After=cji-bundle.service network-online.target
Wants=network-online.target
[Service]
ExecStart={PYTHON} {DISK}/inside.py network
Restart=always
"""
_WANTED: Final = """\
[Unit]
Wants=cji-simulation-network.service
"""
_DROP_IN: Final = f"""\
[Unit]
Requires=cji-bundle.service
After=cji-bundle.service cji-simulation-network.service
[Service]
RuntimeDirectory=
RuntimeDirectory=cji-control
ExecStart=
ExecStart={_WORKER} {DISK}/trust.json serve --config /etc/cji/worker.toml
StandardError=journal+console
"""
_STAYS: Final = """\
[Unit]
FailureAction=none
[Service]
Restart=no
"""
_BROKER: Final = f"""\
[Service]
ExecStart=
ExecStart={PYTHON} -I -B {DISK}/broker_inside.py {DISK}/trust.json ${{CREDENTIALS_DIRECTORY}}
StandardError=journal+console
"""
_DOOR: Final = """\
[Unit]
Requires=cji-bundle.service
After=cji-bundle.service
"""


def simulation_initrd(*, restarts: bool = False, more: Mapping[str, str] = MappingProxyType({})) -> bytes:
    """The archive, for the end of the image's initrd.

    `restarts`: a worker that ends is started again, as in the image. `more` are further units and drop-ins, by name.
    """
    root = {
        "run-cji\\x2dsimulation.mount": _MOUNT,
        "cji-bundle.service": _PREPARE,
        "cji-simulation-network.service": _NETWORK,
        "multi-user.target.d/simulation.conf": _WANTED,
        # the key of the door comes with the configuration, too
        "cji-door-enroll.service": "[Service]\nType=oneshot\nExecStart=/usr/bin/true\n",
        "cji-worker.service.d/simulation.conf": _DROP_IN,
        **({} if restarts else {"cji-worker.service.d/stays.conf": _STAYS}),
        "cji-broker.service.d/simulation.conf": _BROKER,
        "cji-door.service.d/simulation.conf": _DOOR,
        **more,
    }
    initrd = {
        "etc/cji-simulation.conf": _PLACES,
        "etc/systemd/system/cji-simulation.service": _COPY,
        "etc/systemd/system/initrd.target.d/simulation.conf": _COPIED,
        "etc/systemd/system.conf.d/simulation.conf": _PATIENT,
    }
    files = {**{f"cji-simulation/{name}": text for name, text in root.items()}, **initrd}
    folders = {"/".join(name.split("/")[:depth]) for name in files for depth in range(1, name.count("/") + 1)}
    entries = [Entry(path=one, mode=0o755) for one in sorted(folders)]
    entries += [Entry(path=name, mode=0o644, data=text.encode()) for name, text in sorted(files.items())]
    return newc(Entry(path=e.path, mode=e.mode, data=e.data, inode=number) for number, e in enumerate(entries, 1))
