"""What the keyholder keeps. Each case runs in a process of its own."""

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from cji_attestation.trust import AZURE_US
from cji_core.format.configuration.worker import Config, KeySection
from cji_worker.keyholder.rights import ports
from tests.support.worker_configs import WORKER_CONFIG

CONFIG = msgspec.toml.decode(WORKER_CONFIG, type=Config)
CONFINED = """
import os, socket, sys
import msgspec
from cji_attestation import Trust
from cji_core.format.configuration.worker import Config
from cji_worker.keyholder.rights import confine
config, trust = (msgspec.json.decode(text, type=kind) for text, kind in zip(sys.argv[1:], (Config, Trust)))
if config.worker.id != "free":
    confine(config, trust, parent=os.getppid())
"""
FREE = msgspec.structs.replace(CONFIG, worker=msgspec.structs.replace(CONFIG.worker, id="free"))
LOOK_UP = """
try:
    print(bool(socket.getaddrinfo(NAME, 443)))
except socket.gaierror as error:
    print(error.errno)
"""


def run(act: str, config: Config = CONFIG) -> str:
    """What a keyholder of this configuration prints."""
    arguments = (msgspec.json.encode(each).decode() for each in (config, AZURE_US))
    command = [sys.executable, "-c", f"{CONFINED}\n{act}", *arguments]
    done = subprocess.run(command, capture_output=True, check=False, timeout=60, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_cloud_needs_https_and_dns() -> None:
    assert ports(CONFIG, AZURE_US) == {53, 443}
    direct = msgspec.structs.replace(AZURE_US, imds="http://127.0.0.1")
    assert ports(CONFIG, direct) == {53, 80, 443}, "without a broker"


def test_a_port_in_a_url_is_added() -> None:
    key = KeySection(kek_id="https://hsm.example:8443/keys/a/b", public_thumbprint="x")
    assert ports(msgspec.structs.replace(CONFIG, keys=(key,)), AZURE_US) == {53, 443, 8443}


@pytest.mark.parametrize("name", ["localhost", "name.invalid"])
def test_the_keyholder_looks_names_up(name: str) -> None:
    """With the files and libraries that the C library needs for it: the answer is that of any process."""
    act = LOOK_UP.replace("NAME", repr(name))
    assert run(act) == run(act, FREE)


def test_the_keyholder_reads_roots_and_maps() -> None:
    act = """
from cji_attestation.fetch import tls_context
from cji_attestation.fetch import system_roots
print(len(system_roots()) > 0, len(open("/proc/self/maps").read()) > 0)
print(len(tls_context(None, check="tls").get_ca_certs()) > 0)
"""
    assert run(act).splitlines() == ["True True", "True"]


def test_the_keyholder_writes_to_its_folder_only(tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    act = f"""
open("{tmp_path}/own/audit.jsonl", "w").close()
for path in ("{tmp_path}/other", "/etc/passwd"):
    try:
        open(path, "a")
    except PermissionError:
        print("no")
"""
    assert run(act, msgspec.structs.replace(CONFIG, audit_file=f"{tmp_path}/own/audit.jsonl")) == "no\nno"


def test_the_keyholder_reads_what_it_uses_and_no_key_of_tls(tmp_path: Path) -> None:
    for name in ("policy.toml", "ak-issuers.pem", "server.key"):
        (tmp_path / name).write_text(name)
    act = f"""
for name in ("policy.toml", "ak-issuers.pem", "server.key"):
    try:
        print(open(f"{tmp_path}/{{name}}").read())
    except PermissionError:
        print("no")
"""
    section = msgspec.structs.replace(CONFIG.attestation, ak_issuers=f"{tmp_path}/ak-issuers.pem")
    config = msgspec.structs.replace(CONFIG, policy_file=f"{tmp_path}/policy.toml", attestation=section)
    assert run(act, config).splitlines() == ["policy.toml", "ak-issuers.pem", "no"]
