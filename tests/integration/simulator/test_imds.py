"""The instance metadata service: who may ask, in which version, and for whose token."""

import json
import urllib.error
import urllib.request
from typing import Any

import pytest
from azure.core.exceptions import ClientAuthenticationError
from azure.identity import CredentialUnavailableError, ManagedIdentityCredential

from cji_simulator import Kind, Service, Simulation

RESOURCE = "https://vault.azure.net"
LOCATION = "/metadata/instance/compute/location"
TOKEN = "/metadata/identity/oauth2/token"


def ask(simulation: Simulation, path: str, *, method: str = "GET", **headers: str) -> tuple[int, Any]:
    url = simulation.endpoints.imds_url + path
    request = urllib.request.Request(url, method=method, headers={"Metadata": "true", **headers})
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return int(response.status), response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


@pytest.mark.parametrize("headers", [{"Metadata": "false"}, {"Metadata": ""}, {"X-Forwarded-For": "10.0.0.1"}], ids=str)
@pytest.mark.parametrize("path", [f"{LOCATION}?api-version=2021-01-01&format=text", "/metadata/THIM/amd/certification"])
def test_only_the_vm_itself_is_answered(simulation: Simulation, path: str, headers: dict[str, str]) -> None:
    assert ask(simulation, path)[0] == 200
    assert ask(simulation, path, **headers)[0] == 400


@pytest.mark.parametrize("version", ["", "&api-version=", "&api-version=2020-02-30", "&api-version=latest"])
@pytest.mark.parametrize("path", [f"{LOCATION}?format=text", f"{TOKEN}?resource={RESOURCE}"])
def test_versions_are_the_documented_ones(simulation: Simulation, path: str, version: str) -> None:
    assert ask(simulation, f"{path}&api-version=2018-02-01")[0] == 200
    status, body = ask(simulation, path + version)
    assert status == 400
    assert json.loads(body) == {
        "error": "Bad request. api-version is invalid or was not specified in the request.",
        "newest-versions": ["2023-07-01", "2021-12-13", "2021-11-15"],
    }


def test_place_and_id_are_text(simulation: Simulation) -> None:
    assert ask(simulation, f"{LOCATION}?api-version=2021-01-01&format=text") == (200, simulation.region)
    found = ask(simulation, "/metadata/instance/compute/vmId?api-version=2019-03-11&format=text")
    assert found == (200, simulation.endpoints.vm_id)
    assert ask(simulation, f"{LOCATION}?api-version=2021-01-01")[0] == 400
    simulation.fault(Service.IMDS, Kind.ELSEWHERE, times=1)
    assert ask(simulation, f"{LOCATION}?api-version=2021-01-01&format=text") == (200, "westeurope")


def test_other_paths_and_methods(simulation: Simulation) -> None:
    assert ask(simulation, "/metadata/attested/document?api-version=2021-01-01")[0] == 404
    assert ask(simulation, f"{LOCATION}?api-version=2021-01-01&format=text", method="POST")[0] == 405


def test_a_token_has_the_members_that_clients_read(simulation: Simulation) -> None:
    status, body = ask(simulation, f"{TOKEN}?api-version=2018-02-01&resource={RESOURCE}")
    token = json.loads(body)
    assert (status, token["resource"], token["token_type"]) == (200, RESOURCE, "Bearer")
    assert int(token["expires_on"]) - int(token["not_before"]) == int(token["expires_in"]) == 86400


@pytest.fixture
def identity(simulation: Simulation, monkeypatch: pytest.MonkeyPatch) -> Simulation:
    monkeypatch.setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", simulation.endpoints.imds_url)
    return simulation


def test_an_identity_is_found_by_its_client_id_and_no_other(identity: Simulation) -> None:
    mine = identity.endpoints.client_id
    for client_id in (None, mine):
        assert ManagedIdentityCredential(client_id=client_id).get_token(f"{RESOURCE}/.default").token
    stranger = ManagedIdentityCredential(client_id="33333333-3333-4333-8333-333333333333")
    with pytest.raises((CredentialUnavailableError, ClientAuthenticationError), match="Identity not found"):
        stranger.get_token(f"{RESOURCE}/.default")


def test_one_of_several_identities_must_be_named(identity: Simulation) -> None:
    identity.fault(Service.IMDS, Kind.SEVERAL_IDENTITIES)
    with pytest.raises((CredentialUnavailableError, ClientAuthenticationError), match="Multiple user assigned"):
        ManagedIdentityCredential().get_token(f"{RESOURCE}/.default")
    mine = ManagedIdentityCredential(client_id=identity.endpoints.client_id)
    assert mine.get_token(f"{RESOURCE}/.default").token
