"""QEMU with OVMF, Secure Boot and a simulated Azure's vTPM, by an ordinary user: no right of root is used."""

import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from cji_simulator.machine.errors import MachineError
from cji_simulator.machine.firmware import CODE

__all__ = ["OUTSIDE", "Guest", "accelerators", "missing_packages"]

OUTSIDE: Final = "10.0.2.2"
"""QEMU's name, in its own network, for the machine outside."""
KVM: Final = Path("/dev/kvm")

_PACKAGES: Final = {
    "qemu-system-x86_64": "qemu-system-x86",
    "swtpm": "swtpm",
    "ukify": "systemd-ukify",
    "sbsign": "sbsigntool",
    "virt-fw-vars": "python3-virt-firmware",
    "mcopy": "mtools",
    "mkfs.erofs": "erofs-utils",
}
_STUB: Final = Path("/usr/lib/systemd/boot/efi/linuxx64.efi.stub")
_MEMORY_MIB: Final = 3072
_STOP_S: Final = 10
_TRIES: Final = 5
_BEGIN_S: Final = 600
_LOOK_S: Final = 0.5
_NO_TIMER: Final = "Possible timer handling issue"
_BEGUN: Final = ("Booting initrd of", "Access Denied", "Security Violation")
"""Printed by systemd of the initrd, or by a firmware that starts nothing."""
_KVM_FAILED: Final = "KVM internal error"
"""After it QEMU neither goes on nor ends."""
_COLOUR: Final = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\r")
_PROCESSOR: Final = {"kvm": ["-accel", "kvm", "-cpu", "host"], "tcg": ["-accel", "tcg,thread=multi", "-cpu", "max"]}


def missing_packages() -> list[str]:
    """Debian's packages without which no image can be booted here."""
    absent = [package for program, package in _PACKAGES.items() if shutil.which(program) is None]
    absent += [] if _STUB.is_file() else ["systemd-boot-efi"]
    return absent if CODE.is_file() else [*absent, "ovmf"]


def accelerators(device: Path = KVM) -> tuple[str, ...]:
    """The accelerators to try, one after the other: KVM if this user may use it, and emulation."""
    return ("kvm", "tcg") if os.access(device, os.R_OK | os.W_OK) else ("tcg",)


class Guest:
    """A running machine; a context manager that turns it off.

    `port` of the machine outside leads to the port `inside`.
    `console` is a Unix socket that is its serial port, `log` the file of all that was printed there.

    A kernel that finds no timer, because a busy host let the emulator wait while the kernel measured it, never gets to
    its init. That says nothing about the image: the machine is turned off and on again. Nor does KVM that cannot start
    the firmware, as nested KVM without system management mode: the next of `accelerate` is taken.
    """

    def __init__(
        self,
        disk: Path,
        *,
        variables: Path,
        tpm: str,
        folder: Path,
        port: int = 0,
        inside: int = 8443,
        simulation: Path | None = None,
        accelerate: Sequence[str] = ("tcg",),
    ) -> None:
        folder.mkdir(exist_ok=True)
        self._folder, self._variables = folder, variables
        self._own, self._state = folder / "vars.fd", folder / "state.raw"
        self.log, self.console = folder / "console.log", folder / "console.sock"
        self.accelerator, self._accelerate = accelerate[0], accelerate
        self._show: Callable[[str], None] | None = None
        self._shown = 0
        forward = f",hostfwd=tcp:127.0.0.1:{port}-:{inside}" if port else ""
        command = ["-machine", "q35,smm=on", "-global", "driver=cfi.pflash01,property=secure,value=on"]
        command += ["-m", str(_MEMORY_MIB), "-smp", "2"]
        command += ["-drive", f"if=pflash,format=raw,readonly=on,file={CODE}"]
        command += ["-drive", f"if=pflash,format=raw,file={self._own}"]
        command += _disk(disk, "cji-root", "snapshot=on") + _disk(self._state, "cji-state", "snapshot=off")
        if simulation is not None:
            command += _disk(simulation, "cji-simulation", "readonly=on")
        command += ["-chardev", f"socket,id=tpm,path={tpm}", "-tpmdev", "emulator,id=tpm0,chardev=tpm"]
        command += ["-device", "tpm-crb,tpmdev=tpm0", "-netdev", f"user,id=net{forward}"]
        command += ["-device", "virtio-net-pci,netdev=net,romfile=", "-no-reboot", "-display", "none"]
        command += ["-monitor", "none", "-serial", "chardev:console"]
        command += ["-chardev", f"socket,id=console,path={self.console},server=on,wait=off,logfile={self.log}"]
        self._command = command

    def __enter__(self) -> Self:
        try:
            for kind in self._accelerate:
                self.accelerator = kind
                if self._begun():
                    return self
        except BaseException:
            self._stop()
            raise
        raise MachineError("QEMU cannot start the firmware", remedy=f"Read {self._folder / 'qemu.log'}.")

    def _begun(self) -> bool:
        for _ in range(_TRIES):
            self._start()
            found = self.wait_for(_NO_TIMER, *_BEGUN, seconds=_BEGIN_S)
            if found != _NO_TIMER and (found or self.accelerator == "tcg"):
                return True
            self._stop()
            if not found:
                return False
        raise MachineError(f"{_TRIES} times the emulated machine found no timer", remedy="Give it idle processors.")

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stop()

    def follow(self, show: Callable[[str], None]) -> None:
        """Call `show` with each line that its serial port prints while something waits for the machine."""
        self._show = show

    def boot_again(self, seconds: float) -> None:
        """Wait until it reboots, which ends the emulator, and start it with its disks. Raises TimeoutExpired."""
        self._process.wait(seconds)
        self._launch()

    @property
    def running(self) -> bool:
        """Whether the machine is on."""
        return self._process.poll() is None and _KVM_FAILED not in self._complaints()

    def _start(self) -> None:
        shutil.copyfile(self._variables, self._own)
        with self._state.open("wb") as file:
            file.truncate(64 << 20)
        self.log.unlink(missing_ok=True)
        self._shown = 0
        self._launch()

    def _launch(self) -> None:
        command = ["qemu-system-x86_64", *_PROCESSOR[self.accelerator], *self._command]
        with (self._folder / "qemu.log").open("wb") as log:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def _stop(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _complaints(self) -> str:
        return (self._folder / "qemu.log").read_text(errors="replace")

    def printed(self) -> str:
        """The text of its serial port so far, without colours."""
        return _COLOUR.sub("", self.log.read_text(errors="replace")) if self.log.exists() else ""

    def wait_for(self, *texts: str, seconds: float) -> str:
        """The first of these texts that is printed; empty if the machine ended or the time is over."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if found := next((one for one in texts if one in self.look()), ""):
                return found
            if not self.running:
                break
            time.sleep(_LOOK_S)
        return next((one for one in texts if one in self.look()), "")

    def look(self) -> str:
        """`printed`, of which `follow` gets the new lines."""
        printed = self.printed()
        if self._show is not None:
            *lines, _ = printed[self._shown :].split("\n")
            for line in lines:
                self._show(line)
            self._shown += sum(len(line) + 1 for line in lines)
        return printed


def _disk(path: Path, serial: str, option: str) -> list[str]:
    drive = f"if=none,id={serial},format=raw,file={path},{option}"
    return ["-drive", drive, "-device", f"virtio-blk-pci,drive={serial},serial={serial}"]
