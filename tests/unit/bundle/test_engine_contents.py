"""A bundle of an engine: what is in it, what is not, and which machine takes it."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from cji_attestation.bundle.contents import Contents
from cji_attestation.bundle.engine_contents import EngineContents, check_files, require_kind
from cji_attestation.bundle.errors import BundleRefused
from cji_simulator.certificates import authority, pem
from tests.support.bundles import files

CLOUDS = ("azure-us",)
TOML = """
cloud = "azure-us"
pool = "county-engine"
[nodes]
addresses = ["10.0.1.4", "cji000001.cji.internal"]
name = "cji.agency.example"
roots = "tls/node-roots.pem"
tasks = 2
[certificates]
url = "https://est.agency.example/.well-known/est/engine"
roots = "tls/engine-roots.pem"
"""


@pytest.fixture(scope="module")
def given() -> dict[str, bytes]:
    roots = [pem(authority(name, ec.generate_private_key(ec.SECP256R1())).certificate) for name in ("nodes", "engine")]
    return {"engine.toml": TOML.encode(), "tls/node-roots.pem": roots[0], "tls/engine-roots.pem": roots[1]}


def checked(given: dict[str, bytes]) -> EngineContents:
    found = check_files(given, clouds=CLOUDS)
    assert isinstance(found, EngineContents)
    return found


def test_the_files_of_an_engine_are_accepted(given: dict[str, bytes]) -> None:
    found = checked(given)
    assert (found.pool, found.secrets, found.notes) == ("county-engine", (), ())


def test_the_units_get_every_value_as_an_option(given: dict[str, bytes]) -> None:
    variables = dict(line.split("=", 1) for line in checked(given).config.environment().decode().splitlines())
    assert variables == {
        "CJI_ENGINE_HOST": "0.0.0.0",
        "CJI_ENGINE_SCHEDULER": "tls://127.0.0.1:8786",
        "CJI_ENGINE_TASKS": "2",
        "CJI_ENGINE_NODES": "--node 10.0.1.4 --node cji000001.cji.internal --node-name cji.agency.example "
        "--node-roots /run/credentials/cji-engine-worker.service/node-roots.pem",
    }


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ("azure-us", "azure-eu", 'cloud = "azure-eu" is unknown'),
        ('"10.0.1.4"', '"10.0.1.4 --ca x"', "is not valid"),
        ('"10.0.1.4"', '"10.0.1.4", "10.0.1.4"', "addresses has one twice"),
        ('"10.0.1.4"', '"$HOME"', "is not valid"),
        ("cji.agency.example", "CJI", "is not valid"),
        ("tls/node-roots.pem", "/etc/ssl/node-roots.pem", "nodes.roots: not tls/node-roots.pem of the bundle"),
        ("tls/engine-roots.pem", "tls/node-roots.pem", "certificates.roots: not tls/engine-roots.pem"),
        ("https://est", "http://est", "is not valid"),
        ("tasks = 2", "tasks = 2\nport = 1", "is not valid"),
    ],
)
def test_a_value_that_does_not_fit_is_refused(given: dict[str, bytes], old: str, new: str, what: str) -> None:
    with pytest.raises(BundleRefused) as caught:
        check_files({**given, "engine.toml": TOML.replace(old, new, 1).encode()}, clouds=CLOUDS)
    assert what in caught.value.what


def test_files_that_do_not_fit_are_refused(given: dict[str, bytes]) -> None:
    """Each certificate of the engine's authority runs code, so it is not that of the doors."""
    shared = {**given, "tls/node-roots.pem": given["tls/engine-roots.pem"]}
    both_in_one = given["tls/node-roots.pem"] + b"\n" + given["tls/engine-roots.pem"]
    contained = {**given, "tls/node-roots.pem": both_in_one}
    broken = {**given, "tls/node-roots.pem": b"no certificate"}
    lacking = {name: data for name, data in given.items() if name != "tls/node-roots.pem"}
    both = {**given, "worker.toml": b""}
    more = {**given, "policy.toml": b""}
    for wrong, what in (
        (shared, "authority is that of the workers' doors"),
        (contained, "authority is that of the workers' doors"),
        (broken, "not PEM"),
        (lacking, "not tls/node-roots.pem of the bundle"),
        (both, "both worker.toml and engine.toml"),
        (more, "has no policy.toml"),
    ):
        with pytest.raises(BundleRefused) as caught:
            check_files(wrong, clouds=CLOUDS)
        assert what in caught.value.what


def test_a_machine_takes_bundles_of_its_own_kind(given: dict[str, bytes], tmp_path: Path) -> None:
    worker, engine = check_files(files(), clouds=CLOUDS), checked(given)
    assert isinstance(worker, Contents)
    line = tmp_path / "cmdline"
    for flavour, taken, other in (
        ("", worker, engine),
        (" cji.flavour=debug", worker, engine),
        (" cji.flavour=engine", engine, worker),
    ):
        line.write_text(f"init=/usr/lib/cji/host-profile roothash=ab{flavour}\n")
        require_kind(taken, line)
        with pytest.raises(BundleRefused, match="The bundle is of a machine of kind"):
            require_kind(other, line)
