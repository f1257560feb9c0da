"""QEMU with OVMF, Secure Boot, software emulation and a simulated Azure's vTPM."""

import re
import shutil
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from tests.support.machine.parts import FIRMWARE

__all__ = ["OUTSIDE", "Guest", "missing_packages"]

OUTSIDE: Final = "10.0.2.2"
"""QEMU's name, in its own network, for the machine outside."""

_PACKAGES: Final = {
    "qemu-system-x86_64": "qemu-system-x86",
    "swtpm": "swtpm",
    "ukify": "systemd-ukify",
    "sbsign": "sbsigntool",
    "virt-fw-vars": "python3-virt-firmware",
    "mcopy": "mtools",
    "mkfs.erofs": "erofs-utils",
}
_MEMORY_MIB: Final = 3072
_STOP_S: Final = 10
_TRIES: Final = 5
_BEGIN_S: Final = 600
_NO_TIMER: Final = "Possible timer handling issue"
_BEGUN: Final = ("Booting initrd of", "Access Denied", "Security Violation")
"""Printed by systemd of the initrd, or by a firmware that starts nothing."""
_COLOUR: Final = re.compile(r"\x1b\[[0-9;]*m")


def missing_packages() -> list[str]:
    """Debian's packages without which no image can be booted here."""
    absent = [package for program, package in _PACKAGES.items() if shutil.which(program) is None]
    return absent if (FIRMWARE / "OVMF_CODE_4M.secboot.fd").is_file() else [*absent, "ovmf"]


class Guest:
    """A running machine; a context manager that turns it off. `console` is the file of its serial port.

    A kernel that finds no timer, because a busy host let the emulator wait while the kernel measured it, never gets to
    its init. That says nothing about the image: the machine is turned off and on again.
    """

    def __init__(
        self,
        disk: Path,
        *,
        variables: Path,
        tpm: str,
        folder: Path,
        port: int = 0,
        test_disk: Path | None = None,
    ) -> None:
        folder.mkdir(exist_ok=True)
        self._folder, self._variables = folder, variables
        self._own, self._state = folder / "vars.fd", folder / "state.raw"
        self.console = folder / "console.log"
        forward = f",hostfwd=tcp:127.0.0.1:{port}-:8443" if port else ""
        command = ["qemu-system-x86_64", "-accel", "tcg,thread=multi", "-cpu", "max", "-machine", "q35,smm=on"]
        command += ["-global", "driver=cfi.pflash01,property=secure,value=on", "-m", str(_MEMORY_MIB), "-smp", "2"]
        command += ["-drive", f"if=pflash,format=raw,readonly=on,file={FIRMWARE / 'OVMF_CODE_4M.secboot.fd'}"]
        command += ["-drive", f"if=pflash,format=raw,file={self._own}"]
        command += _disk(disk, "cji-root", "snapshot=on") + _disk(self._state, "cji-state", "snapshot=off")
        if test_disk is not None:
            command += _disk(test_disk, "cji-test", "readonly=on")
        command += ["-chardev", f"socket,id=tpm,path={tpm}", "-tpmdev", "emulator,id=tpm0,chardev=tpm"]
        command += ["-device", "tpm-crb,tpmdev=tpm0", "-netdev", f"user,id=net{forward}"]
        command += ["-device", "virtio-net-pci,netdev=net,romfile=", "-no-reboot", "-display", "none"]
        command += ["-monitor", "none", "-serial", f"file:{self.console}"]
        self._command = command

    def __enter__(self) -> Self:
        for _ in range(_TRIES):
            self._start()
            if self.wait_for(_NO_TIMER, *_BEGUN, seconds=_BEGIN_S) != _NO_TIMER:
                return self
            self._stop()
        raise RuntimeError(f"{_TRIES} times the emulated machine found no timer")

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stop()

    def boot_again(self, seconds: float) -> None:
        """Wait until it reboots, which ends the emulator, and start it with its disks. Raises TimeoutExpired."""
        self._process.wait(seconds)
        self._launch()

    def _start(self) -> None:
        shutil.copyfile(self._variables, self._own)
        with self._state.open("wb") as file:
            file.truncate(64 << 20)
        self.console.unlink(missing_ok=True)
        self._launch()

    def _launch(self) -> None:
        with (self._folder / "qemu.log").open("wb") as log:
            self._process = subprocess.Popen(self._command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def _stop(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def printed(self) -> str:
        """What its serial port has printed, without colours."""
        return _COLOUR.sub("", self.console.read_text(errors="replace")) if self.console.exists() else ""

    def wait_for(self, *texts: str, seconds: float) -> str:
        """The first of these texts that is printed; empty if the machine ended or the time is over."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if found := next((one for one in texts if one in self.printed()), ""):
                return found
            if self._process.poll() is not None:
                break
            time.sleep(0.5)
        return next((one for one in texts if one in self.printed()), "")


def _disk(path: Path, serial: str, option: str) -> list[str]:
    drive = f"if=none,id={serial},format=raw,file={path},{option}"
    return ["-drive", drive, "-device", f"virtio-blk-pci,drive={serial},serial={serial}"]
