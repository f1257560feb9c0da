"""Private keys that others may read are refused, with what to do; what the programs write themselves is never so."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from cji_client.profile import load_profile
from cji_core.command import build
from cji_core.errors import SpecError
from cji_core.format.keys import (
    is_private,
    load_project_key,
    load_recipient_key,
    load_signing_key,
    new_project_key,
    new_recipient_key,
    new_signing_key,
    save_private_key,
    save_project_key,
)
from tests.support.sdk_server import Certificates


def tls_of(path: Path) -> object:
    profile = path.parent / "client.toml"
    profile.write_text(
        'target = "h:1"\ncloud = "azure-us"\nmaa_url = "https://m"\nca = "ca.pem"\ncertificate = "c.pem"\n'
        f'private_key = "{path.name}"\n[reference]\nproducts = ["Genoa"]\n'
    )
    return load_profile(profile).tls()


def tls_files(path: Path) -> None:
    tls = Certificates.make().client
    (path.parent / "ca.pem").write_bytes(tls.ca_pem)
    (path.parent / "c.pem").write_bytes(tls.cert_pem)
    path.write_bytes(tls.key_pem)


KEYS: dict[str, tuple[Callable[[Path], None], Callable[[Path], object]]] = {
    "signing": (lambda path: save_private_key(new_signing_key(), path, passphrase=None), load_signing_key),
    "recipient": (lambda path: save_private_key(new_recipient_key(), path, passphrase=None), load_recipient_key),
    "project": (lambda path: save_project_key(new_project_key("p"), path), load_project_key),
    "tls": (tls_files, tls_of),
}


@pytest.mark.parametrize("kind", KEYS)
def test_a_key_that_others_may_read_is_refused(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "a key"
    make, load = KEYS[kind]
    make(path)
    for mode in (0o600, 0o400, 0o700):
        path.chmod(mode)
        assert load(path)
    for mode in (0o640, 0o644, 0o604, 0o620, 0o602, 0o440):
        path.chmod(mode)
        with pytest.raises(SpecError, match="others than its owner may read or write it") as refused:
            load(path)
        assert f"chmod 600 '{path}'" in refused.value.remedy
        assert os.system(refused.value.remedy.split("`")[1]) == 0
        assert load(path)


def ordinary(holds: Callable[[], bool]) -> bool:
    """What an ordinary user finds."""
    if os.geteuid() != 0:
        return holds()
    child = os.fork()
    if not child:
        os.setuid(65534)
        os._exit(0 if holds() else 1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.mark.parametrize(
    ("mode", "owner", "private"),
    [
        (0o400, 0, True),
        (0o440, 0, True),  # as systemd hands a credential to a service
        (0o460, 0, False),
        (0o444, 0, False),
        (0o644, 0, False),
        (0o440, 65534, False),
        (0o440, 1, False),
        (0o400, 1, True),
    ],
)
def test_a_key_of_roots_may_be_shared_with_a_group(mode: int, owner: int, private: bool) -> None:
    found = os.stat_result((0o100000 | mode, 1, 1, 1, owner, 0, 1, 0, 0, 0))
    assert ordinary(lambda: is_private(found)) is private


@pytest.mark.parametrize("verb", [("new-signing",), ("new-recipient",), ("project", "p")])
def test_keys_are_made_for_their_owner(verb: tuple[str, ...], tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        done = CliRunner().invoke(build(), ["key", *verb, str(tmp_path / "made")], catch_exceptions=False)
    finally:
        os.umask(before)
    assert done.exit_code == 0, done.output
    assert (tmp_path / "made").stat().st_mode & 0o777 == 0o600
