"""The first deployment, without a resource manager: the bundle is made, signed, applied, and its worker is attested."""

import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cji_attestation.bundle.archive import Bundle, make, read
from cji_attestation.bundle.signatures import FileSigner, accepted_in, sign, verify
from cji_core.command.common import signing_key
from cji_deploy.runbooks.values import RunbookError
from cji_worker.bundle.apply import apply
from tests.support.runbook_drill import KEY, Agency

pytestmark = [
    pytest.mark.timeout(1800),
    pytest.mark.skipif(os.geteuid() != 0, reason="a bundle's files are given to groups, as root"),
]
LISTEN = """[listen]
certificate = "/run/cji-tls/server.pem"
private_key = "/run/cji-tls/server.key"
client_roots = "tls/client-roots.pem"
"""


@pytest.fixture
def memory() -> Iterator[Path]:
    """A folder in memory, as /run is."""
    folder = Path(tempfile.mkdtemp(prefix="cji-deploy-", dir="/dev/shm"))
    yield folder
    shutil.rmtree(folder)


def configuration(agency: Agency, folder: Path) -> None:
    """The files of the worker as an operator has them on a desk; [listen] is the image's."""
    home = agency.files.folder
    for source, name in (
        ("policy.toml", "policy.toml"),
        ("advisories.jws", "reference/advisories.jws"),
        ("acceptance.jws", "reference/acceptance.jws"),
        ("client-roots.pem", "tls/client-roots.pem"),
        ("ak-issuers.pem", "tls/azure-vtpm-issuers.pem"),
    ):
        (folder / name).parent.mkdir(exist_ok=True)
        shutil.copy(home / source, folder / name)
    shutil.copytree(home / "seeds", folder / "seeds", dirs_exist_ok=True)
    text = re.sub(r"(?s)\[listen\]\n.*?\n\n", f"{LISTEN}\n", (home / "worker.toml").read_text())
    for name in ("advisories.jws", "acceptance.jws"):
        text = text.replace(f'"{name}"', f'"reference/{name}"')
    text = re.sub(r"(?m)^(control|status)_socket = .*\n", "", text)
    text = text.replace('"ak-issuers.pem"', '"tls/azure-vtpm-issuers.pem"')
    (folder / "worker.toml").write_text(text.replace('"state/audit.jsonl"', f'"{agency.files.audit}"'))


def here(bundle: Bundle, home: Path, signer: FileSigner) -> Bundle:
    """The bundle with the simulator's address and TLS key in its worker.toml, signed again: no other file is taken."""
    listen = re.search(r"(?s)\[listen\]\n.*?\n\n", (home / "worker.toml").read_text())
    assert listen is not None
    own = listen[0].replace('"server.', f'"{home}/server.').replace('"client-roots', '"tls/client-roots')
    text = bundle.files["worker.toml"].decode().replace(LISTEN, own.rstrip("\n") + "\n")
    unsigned = make(
        {**bundle.files, "worker.toml": text.encode()},
        pool=bundle.manifest.pool,
        serial=bundle.manifest.serial,
        created=bundle.created,
        expires=bundle.expires,
    )
    return sign(unsigned, signer)


def test_a_bundle_becomes_a_worker_that_opens_the_first_job(agency: Agency, memory: Path) -> None:
    desk, instance = agency.folder / "configuration", agency.pool.instances[0]
    keys = Path(instance.vm.trust.bundle_keys)
    desk.mkdir()
    keys.mkdir()
    key, bundle, policy = (agency.folder / name for name in ("bundle.key", "pool.bundle", "release-policy.json"))
    subprocess.run([*agency.cji(), "key", "new-signing", str(key)], check=True, capture_output=True)
    shown = subprocess.run([*agency.cji(), "bundle", "key", str(key)], check=True, capture_output=True)
    (keys / "me.pem").write_bytes(shown.stdout)
    policy.write_text(json.dumps(agency.simulation.release_policy()))
    agency.pool.stop(instance)

    def publish() -> None:
        """What cji-bundle.service does in a boot of the machine; the door's address is the simulator's."""
        instance.vm.reboot()
        applied, home, found = memory / "config", agency.files.folder, read(bundle.read_bytes())
        verify(found, accepted_in(keys), now=datetime.now(UTC))
        apply(
            here(found, home, FileSigner(signing_key(key))),
            trust=instance.vm.trust,
            folder=applied,
            state=memory / "state",
            gid=lambda _: 0,
            uid=lambda _: os.getuid(),
        )
        shutil.copytree(applied, home / "applied", dirs_exist_ok=True)
        instance.files = replace(instance.files, config=home / "applied" / "worker.toml")
        agency.pool.start(instance)

    values = {
        "deployment": "cji-1",
        "parameters": "main.parameters.json",
        "cloud": "simulation",
        "policy_with_authority": str(policy),
        "account": "cjiledger",
        "configuration": str(desk),
        "serial": "8",
        "bundle": str(bundle),
        "bundle_key": str(key),
        "bundle_keys": str(keys),
        "key_backup": str(agency.folder / "key.backup"),
    }

    def configure() -> None:
        configuration(agency, desk)
        (desk / "reference" / "signer.pem").write_bytes(key.read_bytes())

    with pytest.raises(RunbookError, match="bundle: ") as caught:
        agency.run("deploy", values, acts={"configure": configure, "publish": publish})
    assert "private key" in caught.value.args[0]
    assert not bundle.exists()
    (desk / "reference" / "signer.pem").unlink()

    acts, chosen = {"configure": lambda: None, "publish": publish}, frozenset({"immutable"})
    execution = agency.run("deploy", values, acts=acts, chosen=chosen)
    assert execution.printed == [
        "capacity",
        "what-if",
        "reviewed",
        "create",
        "ledger-etag",
        "ledger-lock",
        "floors-etag",
        "floors-lock",
        "export",
        "drift",
    ]
    assert "   already so: the reviewed policy is in force" in agency.said
    assert agency.simulation.vault("GET", f"/keys/{KEY}/")["release_policy"]["immutable"] is True
    assert Path(values["key_backup"]).stat().st_size
