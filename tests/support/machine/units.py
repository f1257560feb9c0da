"""The units that a test adds to the booted image, by an archive that is appended to its initrd.

One of them takes the place of `cji-bundle.service`. The initrd mounts them over /usr/local/lib of the root; in
/run/systemd they would not outlive the change to an init that is not systemd. The root itself, its hash and the command
line are those of the image; only the digest of the initrd differs, and the prediction is made from what is booted.
"""

from typing import Final

from cji_deploy.image.stub_initrd import Entry, newc

__all__ = ["extra_initrd"]

_DISK: Final = "/run/cji-test"
_PYTHON: Final = "/opt/cji/bin/python"
_SITE: Final = "/opt/cji/lib/python3.13/site-packages"
_WORKER: Final = f"{_PYTHON} -S -s -P --check-hash-based-pycs always {_DISK}/launch.py worker_inside {_SITE}:{_DISK}"

_COPY: Final = """\
[Unit]
DefaultDependencies=no
RequiresMountsFor=/sysroot
After=initrd-root-fs.target
Before=initrd.target initrd-switch-root.target initrd-cleanup.service
[Service]
Type=oneshot
ExecStart=/usr/bin/systemd-tmpfiles --create /etc/cji-test.conf
ExecStart=/usr/bin/mount --bind /run/cji-units /sysroot/usr/local/lib
"""
_PLACES: Final = """\
d /run/cji-test
d /run/cji-units
d /run/cji-units/systemd
C /run/cji-units/systemd/system - - - - /cji-test
"""
_MOUNT: Final = f"""\
[Unit]
DefaultDependencies=no
[Mount]
What=/dev/disk/by-id/virtio-cji-test
Where={_DISK}
Type=erofs
Options=ro,nosuid,nodev
"""
_PREPARE: Final = f"""\
[Unit]
RequiresMountsFor={_DISK}
After=nftables.service systemd-tmpfiles-setup.service
Before=cji-worker.service cji-door.service cji-console.service cji-audit.service
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart={_PYTHON} {_DISK}/inside.py prepare
ExecStartPost=/usr/bin/systemctl restart cji-broker.service
StandardError=journal+console
"""
_NETWORK: Final = f"""\
[Unit]
RequiresMountsFor={_DISK}
After=cji-bundle.service network-online.target
Wants=network-online.target
[Service]
ExecStart={_PYTHON} {_DISK}/inside.py network
Restart=always
"""
_REFUSED: Final = f"""\
[Unit]
RequiresMountsFor={_DISK}
After=cji-test-network.service cji-bundle.service
Before=cji-worker.service
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart={_PYTHON} {_DISK}/inside.py refused
StandardError=journal+console
"""
_REPORT: Final = f"""\
[Unit]
RequiresMountsFor={_DISK}
After=cji-test-network.service cji-bundle.service
[Service]
Environment=HOME=/tmp
ExecStart={_PYTHON} {_DISK}/inside.py report
StandardError=journal+console
"""
_WANTED: Final = """\
[Unit]
Wants=cji-test-network.service cji-test-refused.service cji-test-report.service
"""
_DROP_IN: Final = f"""\
[Unit]
Requires=cji-bundle.service
After=cji-bundle.service cji-test-network.service cji-test-refused.service
[Service]
RuntimeDirectory=
RuntimeDirectory=cji-control
ExecStart=
ExecStart={_WORKER} {_DISK}/trust.json serve --config /etc/cji/worker.toml
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
ExecStart={_PYTHON} -I -B {_DISK}/broker_inside.py {_DISK}/trust.json ${{CREDENTIALS_DIRECTORY}}
StandardError=journal+console
"""
_DOOR: Final = """\
[Unit]
Requires=cji-bundle.service
After=cji-bundle.service
"""


def extra_initrd(*, crash: bool = False) -> bytes:
    """The archive, for the end of the image's initrd. `crash`: a worker that ends is started again, as in the image."""
    root = {
        "run-cji\\x2dtest.mount": _MOUNT,
        "cji-bundle.service": _PREPARE,
        "cji-test-network.service": _NETWORK,
        "cji-test-refused.service": _REFUSED,
        "cji-test-report.service": _REPORT,
        "multi-user.target.d/test.conf": _WANTED,
        # the key of the door comes with the configuration, too
        "cji-door-enroll.service": "[Service]\nType=oneshot\nExecStart=/usr/bin/true\n",
        "cji-worker.service.d/test.conf": _DROP_IN,
        **({} if crash else {"cji-worker.service.d/stays.conf": _STAYS}),
        "cji-broker.service.d/test.conf": _BROKER,
        "cji-door.service.d/test.conf": _DOOR,
    }
    initrd = {
        "etc/cji-test.conf": _PLACES,
        "etc/systemd/system/cji-test.service": _COPY,
        "etc/systemd/system/initrd.target.d/test.conf": "[Unit]\nRequires=cji-test.service\nAfter=cji-test.service\n",
    }
    files = {**{f"cji-test/{name}": text for name, text in root.items()}, **initrd}
    folders = {"/".join(name.split("/")[:depth]) for name in files for depth in range(1, name.count("/") + 1)}
    entries = [Entry(path=one, mode=0o755) for one in sorted(folders)]
    entries += [Entry(path=name, mode=0o644, data=text.encode()) for name, text in sorted(files.items())]
    return newc(Entry(path=e.path, mode=e.mode, data=e.data, inode=number) for number, e in enumerate(entries, 1))
