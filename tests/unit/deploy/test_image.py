"""Planted mistakes in the image's configuration: each is found, with its file and, where there is one, its line."""

import re
import shutil
from pathlib import Path

import pytest

from cji_deploy.check.image import image_problems
from tests.support.paths import ROOT

DEPLOY = ROOT / "deploy"
FLAVOUR = "image/mkosi.profiles/debug/mkosi.conf"
ENGINE = "image/mkosi.profiles/engine"
CONF, FSTAB = "image/mkosi.conf", "image/extra/etc/fstab"
PRESET = "image/extra/etc/systemd/system-preset/00-cji.preset"
OF_UNITS = "mkosi.extra/etc/systemd/system-preset/00-cji.preset"


def copy(tmp_path: Path) -> Path:
    for name in ("image", "systemd"):
        shutil.copytree(DEPLOY / name, tmp_path / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def line_of(text: str, part: str) -> int:
    return next(number for number, line in enumerate(text.splitlines(), 1) if part in line)


def test_the_shipped_image_passes() -> None:
    assert image_problems(DEPLOY) == []


@pytest.mark.parametrize(
    ("file", "old", "new", "problem"),
    [
        (CONF, "        lockdown=confidentiality\n", "", "needs lockdown=confidentiality"),
        (CONF, "init=/usr/lib/cji/host-profile", "init=/sbin/init", "init=/sbin/init contradicts"),
        (CONF, "systemd.import_credentials=no", "systemd.import_credentials=yes", "contradicts"),
        (CONF, "SecureBoot=yes", "SecureBoot=no", "must say SecureBoot=yes"),
        (CONF, "Bootloader=uki", "Bootloader=grub", "must say Bootloader=uki"),
        (CONF, "WithNetwork=no", "WithNetwork=yes", "must say WithNetwork=no"),
        (CONF, "        vsyscall=none\n", "        cji.flavour=debug\n", "must name no flavour"),
        (FLAVOUR, "cji.flavour=debug", "quiet", "must name cji.flavour=debug"),
        (FLAVOUR, "cji.flavour=debug", "cji.flavour=test", "must name cji.flavour=debug"),
        (FLAVOUR, "cji.flavour=debug", "cji.flavour=debug lockdown=none", "lockdown=none contradicts"),
        (f"{ENGINE}/mkosi.conf", "cji.flavour=engine", "quiet", "must name cji.flavour=engine"),
        (f"{ENGINE}/{OF_UNITS}", "enable cji-engine-worker.service\n", "", "does not enable cji-engine-worker.service"),
        (f"{ENGINE}/{OF_UNITS}", "enable nftables.service\n", "enable ssh.service\n", "enables ssh.service"),
        (f"{ENGINE}/{OF_UNITS}", "disable *\n", "", "must end with disable *"),
        (
            "image/diet.toml",
            '"opt/cji-engine/bin/*"',
            '"opt/cji-engine/bin/x"',
            "takes out /opt/cji-engine/bin/cji-cluster",
        ),
        (CONF, "        nftables\n", "        nftables\n        openssh-server\n", "openssh-server logs in"),
        (CONF, "        nftables\n", "        nftables\n        walinuxagent\n", "walinuxagent logs in"),
        (CONF, "        openssl-provider-fips\n", "", "needs the package openssl-provider-fips"),
        ("image/repart/10-root.conf", "Verity=data\n", "", "needs Verity=data"),
        ("image/repart/10-root.conf", "Format=erofs", "Format=ext4", "needs Format=erofs"),
        (FSTAB, "ext4   nosuid,nodev,noexec", "ext4   nosuid,nodev", "/var/lib needs noexec"),
        (FSTAB, "/dev/disk/cji/state  /var/lib", "/dev/vdb none swap sw 0 0\n/dev/disk/x /srv", "turns swap on"),
        (FSTAB, "/dev/disk/cji/state  /var/lib", "/dev/disk/cji/state  /srv", "needs /var/lib"),
        (PRESET, "disable *\n", "", "must end with disable *"),
        (PRESET, "enable cji-door.socket\n", "", "does not enable cji-door.socket"),
        (PRESET, "enable nftables.service\n", "enable ssh.service\n", "enables ssh.service"),
        ("image/mkosi.finalize", 'diet.toml" root', 'diet.toml" initrd', "does not apply the lists"),
        ("image/mkosi.images/initrd/mkosi.finalize", "/usr/bin/python3", "true", "does not apply the lists"),
        (
            "image/diet.toml",
            '"usr/bin/touch"',
            '"usr/bin/trash"',
            "has no usr/bin/touch, which cji-drain.service starts",
        ),
        ("image/diet.toml", '"usr/bin/env"', '"usr/bin/bash"', "usr/bin/bash of the root executes for somebody"),
        ("image/diet.toml", '    "usr/lib/cji/*",\n', "", "takes out /usr/lib/cji/futile-start"),
        ("image/diet.toml", '"usr/sbin/fsck"', '"usr/sbin/*"', "usr/sbin/* of the root executes for somebody"),
    ],
)
def test_a_planted_mistake_is_found(tmp_path: Path, file: str, old: str, new: str, problem: str) -> None:
    root = copy(tmp_path)
    text = (root / file).read_text()
    assert old in text
    (root / file).write_text(text.replace(old, new, 1))
    found = [one for one in image_problems(root) if problem in one]
    assert found
    assert found[0].startswith(file)


def test_a_line_is_named(tmp_path: Path) -> None:
    root = copy(tmp_path)
    path = root / CONF
    text = path.read_text().replace("        nftables\n", "        nftables\n        sudo\n", 1)
    path.write_text(text)
    (found,) = image_problems(root)
    assert found.startswith(f"{CONF}:{line_of(text, ' sudo')}: ")


@pytest.mark.parametrize("unit", ["getty@.service", "debug-shell.service"])
def test_a_login_that_is_not_masked_is_found(tmp_path: Path, unit: str) -> None:
    root = copy(tmp_path)
    place = root / "image" / "extra-common" / "etc" / "systemd" / "system" / unit
    place.unlink()
    place.write_text("[Service]\nExecStart=/bin/sh\n")
    assert any(unit in one for one in image_problems(root))


def test_a_missing_file_is_a_problem(tmp_path: Path) -> None:
    root = copy(tmp_path)
    (root / FSTAB).unlink()
    assert image_problems(root) == ["image/fstab: cannot be read"]


WORKERS, ENGINES = DEPLOY / "image" / "extra", DEPLOY / ENGINE / "mkosi.extra"
OTHER_KIND = {WORKERS: "cji-engine-", ENGINES: "cji-worker"}


def reach(root: Path) -> dict[tuple[str, str], set[str]]:
    """By destination and port of an image's firewall: the users that it lets through."""
    text = (root / "etc" / "nftables.conf").read_text()
    found: dict[tuple[str, str], set[str]] = {}
    for users, *to in re.findall(r"(?m)^\s+meta skuid (\{[^}]*\}|\S+) ip daddr (\S+) tcp dport (\d+) accept$", text):
        found.setdefault((to[0], to[1]), set()).update(users.strip("{ }").split(", "))
    return found


@pytest.mark.parametrize("root", [WORKERS, ENGINES], ids=["worker", "engine"])
def test_a_user_reaches_what_its_unit_names(root: Path) -> None:
    """The firewall stands for IPAddressAllow of the units, which systemd cannot enforce under the host profile."""
    private = "IPAddressAllow=localhost 10.0.0.0/8 172.16.0.0/12 192.168.0.0/16\n"
    preset = (root / "etc/systemd/system-preset/00-cji.preset").read_text()
    named = {
        re.findall(r"(?m)^User=(\S+)$", text)[0] if "\nUser=" in text else "root"
        for path in (DEPLOY / "systemd").glob("*.service")
        if private in (text := path.read_text()) and f"enable {path.name}\n" in preset
    }
    reached = reach(root)
    assert {user for (to, _), users in reached.items() if to == "@private" for user in users} == named
    assert reached["169.254.169.254", "80"] == {"cji-broker"}
    assert reached["168.63.129.16", "80"] == {"cji-provisioned"}
    assert OTHER_KIND[root] not in preset


def test_a_worker_reaches_services_and_nothing_of_an_engine() -> None:
    reached = reach(WORKERS)
    assert {"cji-console", "cji-audit"} < reached["@private", "443"]
    assert reached["@public", "443"] == {"cji"}
    assert "cji-engine" not in {user for users in reached.values() for user in users}


def test_the_engine_reaches_the_doors_of_workers_alone() -> None:
    reached = reach(ENGINES)
    assert {to for to, users in reached.items() if "cji-engine" in users} == {("@private", "8444")}
    assert reached["@private", "443"] == {"root", "cji-door"}
    assert {to for to, _ in reached} == {"@private", "169.254.169.254", "168.63.129.16"}


@pytest.mark.parametrize(
    ("root", "ports"),
    [
        (
            WORKERS,
            [
                ("@private", "8443", ""),
                ("@private", "8444", ""),
                ("168.63.129.16", "9465", ""),
                ("@private", "9465", "10/second"),
            ],
        ),
        (ENGINES, [("@private", "8786", "")]),
    ],
    ids=["worker", "engine"],
)
def test_callers_reach_the_ports_of_their_machine(root: Path, ports: list[tuple[str, str, str]]) -> None:
    text = (root / "etc" / "nftables.conf").read_text()
    inbound = text.partition("chain input")[2].partition("chain output")[0]
    assert re.findall(r"ip saddr (\S+) tcp dport (\S+)(?: limit rate (\S+))?", inbound) == ports


def test_the_kernel_has_what_the_rules_need() -> None:
    """No module is loaded after the initrd, and one that is missing refuses the whole file."""
    text = re.sub("(?m)#.*", "", (DEPLOY / "image/extra/etc/nftables.conf").read_text())
    needed = {"nft_ct": r"\bct \w", "nft_limit": r"\blimit rate ", "nft_connlimit": r"\bct count "}
    settings = (DEPLOY / "image/mkosi.conf").read_text()
    loaded = re.findall(r"rd\.modules_load=(\S+)", settings)[0].split(",")
    for module in (module for module, words in needed.items() if re.search(words, text)):
        assert module in loaded
        assert f"/{module}.ko\n" in settings
    assert not re.search(r"\b(log|queue|counter name|quota|masquerade|dnat|snat|fib|socket|numgen)\b", text)


def test_a_machine_without_its_firewall_gets_no_configuration() -> None:
    found = (DEPLOY / "image/extra/etc/systemd/system/cji-bundle.service.d/image.conf").read_text()
    assert "Requires=nftables.service\nAfter=nftables.service\n" in found
