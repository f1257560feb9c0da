"""The configuration of the image: what must be in it, what must not, and how its files may be used.

Each rule names the file and, where there is one, the line. It reads the files that mkosi reads, and builds nothing.
"""

import fnmatch
import re
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

from cji_attestation.appraisal.boot_image import FLAVOUR
from cji_deploy.image.diet import Lists

__all__ = ["image_problems"]

_KERNEL: Final = {
    "init=/usr/lib/cji/host-profile": "PID 1 starts below the host profile",
    "lockdown=confidentiality": "the kernel's memory stays closed to root",
    "systemd.gpt_auto=no": "no swap or other partition of a disk is used because of its type",
    "systemd.import_credentials=no": "no unit, password or command comes from the hypervisor",
    "module.sig_enforce=1": "an unsigned module is not loaded, in the initrd either",
}
_SETTINGS: Final = {
    "SecureBoot=yes": "the image starts on no machine with Secure Boot",
    "Bootloader=uki": "command line and initrd are outside of what is signed",
    "WithNetwork=no": "a build fetches something that no lock names",
    "Bootable=yes": "there is no image to start",
}
_PACKAGES: Final = {
    "openssl-provider-fips": "the FIPS provider",
    "nginx-light": "the TLS door",
    "libseccomp2": "cells confine themselves",
    "nftables": "addresses by user, since systemd cannot under the host profile",
}
_FORBIDDEN: Final = re.compile(
    r"^(openssh|dropbear|telnet|sudo|apt|aptitude|snapd|walinuxagent|waagent|cloud-init|azure-|gdb|strace|bpftrace|"
    r"linux-perf|docker|podman|curl|wget|netcat|socat|python3-pip)"
)
_SWITCHED_OFF: Final = ("KernelCommandLine", "Packages")
_SHELLS: Final = (
    *(
        "bash",
        "dash",
        "sh",
        "busybox",
        "perl",
        "apt-get",
        "dpkg",
        "login",
        "su",
        "agetty",
        "dbus-daemon",
        "systemd-run",
    ),
    *("gdb", "strace", "curl", "openssl", "run0"),
)
_MASKED: Final = ("getty@.service", "serial-getty@.service", "debug-shell.service")
_CLOSED: Final = {"nosuid", "nodev", "noexec"}
_REPART: Final = {
    "10-root.conf": ("Format=erofs", "Verity=data", "VerityMatchKey=root"),
    "11-root-verity.conf": ("Verity=hash", "VerityMatchKey=root"),
}
_KINDS: Final = ("service", "socket", "path", "timer")
_EXEC: Final = re.compile(r"Exec(?:Start|StartPre|StartPost|Stop|StopPost|Reload|Condition)=[-+!:@]*(/\S+)")
_PRESET: Final = Path("etc/systemd/system-preset/00-cji.preset")


def image_problems(root: Path) -> list[str]:
    """Everything wrong with `image/` of the deploy folder `root`; empty if nothing is."""
    try:
        return list(_problems(root / "image", root / "systemd"))
    except OSError as error:
        return [f"image/{Path(error.filename or '').name}: cannot be read"]


def _problems(image: Path, systemd: Path) -> Iterator[str]:
    yield from _conf(image / "mkosi.conf")
    yield from _flavours(image)
    for name, needed in _REPART.items():
        lines = (image / "repart" / name).read_text().splitlines()
        yield from (f"image/repart/{name}: needs {one}" for one in needed if one not in lines)
    yield from _mounts(image / "extra" / "etc" / "fstab")
    kinds = _kinds(image)
    for kind in kinds:
        yield from _preset(kind, image, systemd, kinds)
    for unit in _MASKED:
        place = image / "extra-common" / "etc" / "systemd" / "system" / unit
        if not place.is_symlink() or str(place.readlink()) != "/dev/null":
            yield f"image/extra-common/etc/systemd/system/{unit}: must be a link to /dev/null; nobody logs in"
    yield from _diet(image, kinds)
    for kind in kinds:
        yield from _started(kind, image, systemd, kinds)
        yield from _executed(kind, image, systemd, kinds)


@dataclass(frozen=True, slots=True)
class _Kind:
    """A kind of machine: the worker, without a name, or that of a flavour which has a preset of its own."""

    name: str
    preset: Path

    def lists(self, image: Path) -> Lists:
        """Of its root."""
        return Lists.read(image / "diet.toml", "root", *((self.name,) if self.name else ()))

    @property
    def enabled(self) -> set[str]:
        """The units that its preset starts."""
        lines = [line.split() for line in self.preset.read_text().splitlines()]
        return {line[1] for line in lines if line[:1] == ["enable"]}

    def units(self, systemd: Path, kinds: "list[_Kind]") -> list[Path]:
        """Ours: all but those of another kind, which have its name; of a flavour, those that its preset starts."""
        others = tuple(f"cji-{one.name}-" for one in kinds if one.name)
        found = sorted(each for suffix in _KINDS for each in systemd.glob(f"cji-*.{suffix}"))
        if not self.name:
            return [each for each in found if not each.name.startswith(others)]
        return [each for each in found if each.name.startswith(f"cji-{self.name}-") or each.name in self.enabled]


def _kinds(image: Path) -> list[_Kind]:
    flavours = sorted(image.glob(f"mkosi.profiles/*/mkosi.extra/{_PRESET}"))
    return [
        _Kind("", image / "extra" / _PRESET),
        *(_Kind(path.relative_to(image).parts[1], path) for path in flavours),
    ]


def _diet(image: Path, kinds: list[_Kind]) -> Iterator[str]:
    roots = [("root", kind.lists(image)) for kind in kinds]
    for name, lists in (*roots, ("initrd", Lists.read(image / "diet.toml", "initrd"))):
        for one in lists.programs:
            of_debian = one.startswith("usr/") and not one.startswith("usr/lib/cji/")
            if Path(one).name in _SHELLS or (of_debian and "*" in one):
                yield f"image/diet.toml: {one} of the {name} executes for somebody, or is any program"
    for name, script in (("root", "mkosi.finalize"), ("initrd", "mkosi.images/initrd/mkosi.finalize")):
        step = rf'^/usr/bin/python3 \S.*/diet\.py" .*/diet\.toml" {name}( \$\{{PROFILES:-\}})?$'
        if re.search(step, (image / script).read_text(), re.MULTILINE) is None:
            yield f"image/{script}: does not apply the lists of diet.toml; what packages bring would stay"


def _executed(kind: _Kind, image: Path, systemd: Path, kinds: list[_Kind]) -> Iterator[str]:
    """Programs of the units that the lists would take out of the root."""
    programs = kind.lists(image).programs
    for unit in (each for each in kind.units(systemd, kinds) if each.suffix == ".service"):
        for number, line in enumerate(unit.read_text().splitlines(), 1):
            found = _EXEC.match(line)
            if found is None:
                continue
            program = found[1].lstrip("/").removeprefix("usr/")
            if not any(fnmatchcase(name, one) for one in programs for name in (program, f"usr/{program}")):
                yield f"image/diet.toml: takes out {found[1]}, which systemd/{unit.name}:{number} executes"


def _started(kind: _Kind, image: Path, systemd: Path, kinds: list[_Kind]) -> Iterator[str]:
    """Each program that a unit of the image starts must stay in the image."""
    programs = kind.lists(image).programs
    for unit in (each for each in kind.units(systemd, kinds) if each.suffix == ".service"):
        for program in re.findall(r"^Exec(?!Paths)\w+=[-+!:@|]*/(\S+)", unit.read_text(), re.MULTILINE):
            path = f"usr/{program}" if program.startswith(("bin/", "sbin/")) else program
            if not any(fnmatch.fnmatchcase(path, one) for one in programs):
                yield f"image/diet.toml: has no {path}, which {unit.name} starts"


def _conf(path: Path) -> Iterator[str]:
    name = f"image/{path.name}"
    lists = {key: list(_list(path.read_text().splitlines(), key)) for key in _SWITCHED_OFF}
    lines = path.read_text().splitlines()
    for setting, risk in _SETTINGS.items():
        key = setting.partition("=")[0]
        found = [(number, line) for number, line in enumerate(lines, 1) if line.startswith(f"{key}=")]
        if [line for _, line in found] != [setting]:
            where = f"{name}:{found[0][0]}" if found else name
            yield f"{where}: must say {setting} once; otherwise {risk}"
    words = [word for _, word in lists["KernelCommandLine"]]
    for word, why in _KERNEL.items():
        if word not in words:
            yield f"{name}: the kernel's command line needs {word}: {why}"
    for number, word in lists["KernelCommandLine"]:
        key = word.partition("=")[0]
        if any(word != other and other.partition("=")[0] == key for other in _KERNEL):
            yield f"{name}:{number}: {word} contradicts what the image needs"
    packages = [word for _, word in lists["Packages"]]
    for package, why in _PACKAGES.items():
        if package not in packages:
            yield f"{name}: needs the package {package}: {why}"
    for number, package in lists["Packages"]:
        if _FORBIDDEN.match(package):
            yield f"{name}:{number}: {package} logs in, installs, debugs or executes for somebody"


def _flavours(image: Path) -> Iterator[str]:
    """A flavour names itself on its command line, where E61 sees it, and relaxes nothing of the kernel."""
    for path in (image / "mkosi.conf", *sorted(image.glob("mkosi.profiles/*/mkosi.conf"))):
        name, words = path.relative_to(image.parent), list(_list(path.read_text().splitlines(), "KernelCommandLine"))
        own = [] if path.parent == image else [f"{FLAVOUR}={path.parent.name}"]
        if [word for _, word in words if word.startswith(FLAVOUR)] != own:
            yield f"{name}: the command line must name {own[0] if own else 'no flavour'}, by which E61 knows the image"
        for number, word in words if own else ():
            if any(other.partition("=")[0] == word.partition("=")[0] for other in _KERNEL):
                yield f"{name}:{number}: {word} contradicts what the image needs"


def _list(lines: list[str], key: str) -> Iterator[tuple[int, str]]:
    """(line, word) of a setting whose values stand on indented lines."""
    inside = False
    for number, line in enumerate(lines, 1):
        if inside and line[:1].isspace() and line.strip():
            yield from ((number, word) for word in line.split())
        else:
            inside = line.startswith(f"{key}=")
            if inside:
                yield from ((number, word) for word in line.partition("=")[2].split())


def _mounts(path: Path) -> Iterator[str]:
    places = set()
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        fields = line.split()
        if len(fields) < 4:
            yield f"image/extra/etc/fstab:{number}: has no options"
            continue
        places.add(fields[1])
        if "swap" in fields[1:3]:
            yield f"image/extra/etc/fstab:{number}: turns swap on; records could reach a disk"
        elif missing := sorted(_CLOSED - set(fields[3].split(","))):
            yield f"image/extra/etc/fstab:{number}: {fields[1]} needs {','.join(missing)}"
    if "/var/lib" not in places:
        yield "image/extra/etc/fstab: needs /var/lib on the disk of the state"


def _preset(kind: _Kind, image: Path, systemd: Path, kinds: list[_Kind]) -> Iterator[str]:
    name, enabled = f"image/{kind.preset.relative_to(image)}", kind.enabled
    lines = [line.split() for line in kind.preset.read_text().splitlines() if line and not line.startswith("#")]
    if not lines or lines[-1] != ["disable", "*"]:
        yield f"{name}: must end with disable *; a package could bring a unit that starts"
    wanted = (systemd / "cji-worker.service").read_text().splitlines()
    for unit in kind.units(systemd, kinds):
        by_another = unit.suffix == ".service" and any(unit.with_suffix(each).exists() for each in (".path", ".timer"))
        started = (by_another and "\n[Install]\n" not in unit.read_text()) or f"Wants={unit.name}" in wanted
        if unit.name not in enabled and not started:
            yield f"{name}: does not enable {unit.name}"
    for login in sorted(one for one in enabled if re.search(r"getty|ssh|debug-shell", one)):
        yield f"{name}: enables {login}"
