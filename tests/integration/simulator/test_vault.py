"""The vault and the metadata service through Microsoft's own clients."""

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.identity import CredentialUnavailableError, ManagedIdentityCredential
from azure.keyvault.keys import KeyClient, KeyReleasePolicy

from cji_simulator import Cmk, Kind, Service, Simulation, SimulationError
from cji_simulator.encoding import b64url
from tests.support.key_owner import Owner
from tests.support.simulations import simulated


@pytest.fixture
def client(simulation: Simulation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[KeyClient]:
    roots = tmp_path / "roots.pem"
    roots.write_text(simulation.endpoints.tls_roots)
    monkeypatch.setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", simulation.endpoints.imds_url)
    credential = ManagedIdentityCredential(retry_total=0)
    with KeyClient(simulation.vault_url, credential, connection_verify=str(roots), retry_total=0) as made:
        yield made  # with the check of the challenge's resource, as in production


@pytest.fixture(scope="module")
def cmk(simulation_servers: Simulation) -> Cmk:
    return simulation_servers.create_cmk("vault-test")


def get(url: str, **headers: str) -> Any:
    request = urllib.request.Request(url, headers=headers)
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=60) as response:
        return json.loads(response.read())


def test_key_as_the_client_sees_it(client: KeyClient, cmk: Cmk, simulation: Simulation) -> None:
    key = client.get_key("vault-test")
    assert key.id == cmk.kek_id
    assert key.properties.exportable
    policy = key.properties.release_policy
    assert isinstance(policy, KeyReleasePolicy)
    assert json.loads(policy.encoded_policy) == simulation.release_policy()
    public: Any = key.key
    assert public.kty == "RSA-HSM"
    assert public.e == b"\0\1\0\1"  # four bytes, as the service writes it
    assert len(public.n) == 384


def test_versions_and_rotation(client: KeyClient, simulation: Simulation) -> None:
    first = simulation.create_cmk("turning")
    second = simulation.rotate_cmk("turning")
    assert second.public_thumbprint != first.public_thumbprint
    assert second.policy_sha256 == first.policy_sha256
    assert [one.id for one in client.list_properties_of_key_versions("turning")] == [first.kek_id, second.kek_id]
    assert client.get_key("turning").id == second.kek_id
    assert client.get_key("turning", first.kek_id.rpartition("/")[2]).id == first.kek_id


def test_missing_key_and_missing_version(client: KeyClient, cmk: Cmk) -> None:
    for version in (None, "0" * 32):
        with pytest.raises(ResourceNotFoundError):
            client.get_key("absent" if version is None else "vault-test", version)


def test_the_workers_identity_cannot_create(client: KeyClient) -> None:
    with pytest.raises(HttpResponseError) as refused:
        client.create_rsa_key("mine", hardware_protected=True)
    assert refused.value.error is not None
    assert (refused.value.status_code, refused.value.error.innererror) == (403, {"code": "ForbiddenByRbac"})


def test_a_token_that_is_none_is_not_verified(client: KeyClient, cmk: Cmk) -> None:
    with pytest.raises(HttpResponseError, match="cannot be verified") as refused:
        client.release_key("vault-test", "a.b.c", algorithm="RSA_AES_KEY_WRAP_256")
    assert refused.value.error is not None
    assert refused.value.error.code == "Forbidden"
    assert refused.value.error.innererror == {"code": "AccessDenied"}


def test_a_token_of_an_unnamed_issuer_does_not_meet_the_policy(client: KeyClient, cmk: Cmk) -> None:
    claims = b64url(json.dumps({"iss": "https://other.example"}).encode())
    with pytest.raises(HttpResponseError, match="does not meet key release policy"):
        client.release_key("vault-test", f"{b64url(b'{}')}.{claims}.x")


def test_create_follows_the_exportable_rules(simulation: Simulation) -> None:
    for body, code in (
        ({"attributes": {"exportable": True}}, "AKV.SKR.1004"),
        ({"release_policy": {"data": b64url(json.dumps(simulation.release_policy()).encode())}}, "AKV.SKR.1005"),
        ({"attributes": {"exportable": True}, "release_policy": {"data": b64url(b"{}")}}, "AKV.SKR.1002"),
    ):
        with pytest.raises(SimulationError, match=code):
            simulation.vault("POST", "/keys/odd/create", {"kty": "RSA-HSM", **body})


def test_policy_changes_are_on_the_versionless_key_only(simulation: Simulation) -> None:
    made = simulation.create_cmk("changing")
    body = {"release_policy": {"data": b64url(json.dumps(simulation.release_policy()).encode())}}
    with pytest.raises(SimulationError, match=r"AKV\.SKR\.1016"):
        simulation.vault("PATCH", made.kek_id.removeprefix(simulation.vault_url), body)
    changed = {**simulation.release_policy(), "version": "1.0"}
    assert simulation.set_policy("changing", changed).policy_sha256 != made.policy_sha256


def test_a_deleted_key_is_restored_in_the_second_vault(simulation: Simulation, tmp_path: Path) -> None:
    roots = tmp_path / "roots.pem"
    roots.write_text(simulation.endpoints.tls_roots)
    first = simulation.create_cmk("moving")
    second = simulation.rotate_cmk("moving")
    options: dict[str, Any] = {"connection_verify": str(roots), "retry_total": 0}
    with (
        KeyClient(simulation.vault_url, Owner(simulation), **options) as here,
        KeyClient(simulation.second_region.vault_url, Owner(simulation), **options) as there,
    ):
        backup = here.backup_key("moving")
        assert backup is not None
        assert here.begin_delete_key("moving").result().name == "moving"
        assert here.get_deleted_key("moving").recovery_id == f"{simulation.vault_url}/deletedkeys/moving"
        for version in (first, second):
            with pytest.raises(ResourceNotFoundError):
                here.get_key("moving", version.kek_id.rpartition("/")[2])
        with pytest.raises(HttpResponseError, match="already exists"):
            here.restore_key_backup(backup)  # its name is taken while it can be recovered
        restored = there.restore_key_backup(backup)
        assert restored.id == second.kek_id.replace(simulation.vault_url, simulation.second_region.vault_url)
        with pytest.raises(HttpResponseError, match="not valid"):
            there.restore_key_backup(backup[:-1])
    found = simulation.second_region.cmk("moving", first.kek_id.rpartition("/")[2])
    assert (found.public_thumbprint, found.policy_sha256) == (first.public_thumbprint, first.policy_sha256)


def test_a_deleted_vault_does_not_answer(simulation: Simulation, cmk: Cmk) -> None:
    simulation.delete_vault()
    try:
        with pytest.raises(SimulationError, match="does not answer"):
            simulation.cmk("vault-test")
    finally:
        simulation.recover_vault()
    assert simulation.cmk("vault-test") == cmk


def test_throttle(tmp_path: Path) -> None:
    with simulated(tmp_path, release_limit=2) as own:
        own.create_cmk("a")
        own.create_cmk("b")
        with pytest.raises(SimulationError, match="429"):
            own.create_cmk("c")


def test_metadata_needs_its_header_and_refuses_forwarding(simulation: Simulation) -> None:
    url = f"{simulation.endpoints.imds_url}/metadata/THIM/amd/certification"
    found = get(url, Metadata="true")
    assert found["tcbm"] == "581B00000000000A"
    assert found["vcekCert"].count("BEGIN CERTIFICATE") == 1
    assert found["certificateChain"].count("BEGIN CERTIFICATE") == 2
    for headers in ({}, {"Metadata": "false"}, {"Metadata": "true", "X-Forwarded-For": "10.0.0.1"}):
        with pytest.raises(urllib.error.HTTPError, match="400"):
            get(url, **headers)


def test_faults_strike_as_often_as_ordered(simulation: Simulation) -> None:
    url = f"{simulation.endpoints.imds_url}/metadata/THIM/amd/certification"
    simulation.fault(Service.IMDS, Kind.STATUS, status=429, seconds=7, times=1)
    with pytest.raises(urllib.error.HTTPError) as refused:
        get(url, Metadata="true")
    assert (refused.value.code, refused.value.headers["Retry-After"]) == (429, "7")
    get(url, Metadata="true")
    simulation.fault(Service.IMDS, Kind.DOWN)
    for _ in range(2):
        with pytest.raises((ConnectionError, urllib.error.URLError)):
            get(url, Metadata="true")
    simulation.clear_faults()
    simulation.fault(Service.IMDS, Kind.MALFORMED, times=1)
    with pytest.raises(json.JSONDecodeError):
        get(url, Metadata="true")


def test_no_identity_no_key(client: KeyClient, cmk: Cmk, simulation: Simulation) -> None:
    simulation.fault(Service.IMDS, Kind.STATUS, status=400)
    with pytest.raises(CredentialUnavailableError):
        client.get_key("vault-test")


def test_an_unknown_order_is_refused(simulation: Simulation) -> None:
    with pytest.raises(SimulationError, match="400"):
        simulation._control("POST", "/faults", b'{"service":"maa","kind":"gremlins"}')
