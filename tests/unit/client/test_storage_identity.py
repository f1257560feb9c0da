import pytest
from azure.core.exceptions import ClientAuthenticationError
from azure.identity import DefaultAzureCredential, InteractiveBrowserCredential

from cji_client.storage_identity import default_credential
from cji_core.audiences import STORAGE
from cji_core.azure_client import AudienceCredential


def test_no_browser_is_opened_for_a_token() -> None:
    found = default_credential()
    assert isinstance(found, DefaultAzureCredential)
    assert found.credentials
    assert not any(isinstance(each, InteractiveBrowserCredential) for each in found.credentials)


def test_any_credential_gives_tokens_for_storage_alone() -> None:
    pinned = AudienceCredential(default_credential(), STORAGE)
    with pytest.raises(ClientAuthenticationError):
        pinned.get_token("https://vault.azure.net/.default")
