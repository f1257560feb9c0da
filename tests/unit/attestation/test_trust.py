"""Pins, hosts and errors: what is believed is exactly what was written down."""

import re

import msgspec
import pytest

from cji_attestation import AZURE_US, AZURE_USGOV, PRODUCTION, AttestationError, Fault, Trust, is_production
from cji_attestation.appraisal import ReferenceValues, check_reference
from cji_attestation.errors import REMEDIES
from cji_attestation.evidence import maa_nonce, qualifying_data
from cji_attestation.release import Attester
from cji_attestation.trust import endpoint, provider_endpoint, require_region
from tests.support.paths import ROOT
from tests.support.refusals import rejected


def base(url: str, *patterns: str) -> str:
    return endpoint(url, patterns, resource="https://r.example", check="x").base


def test_every_fault_has_a_remedy() -> None:
    assert set(REMEDIES) == set(Fault)
    for fault in Fault:
        text = str(AttestationError(fault, check="none"))
        assert fault.value in text
        assert REMEDIES[fault] in text


def test_trust_travels_and_is_compared_whole() -> None:
    for trust in PRODUCTION:
        assert is_production(msgspec.json.decode(msgspec.json.encode(trust), type=Trust))
    for change in (
        {"amd_roots": ("00" * 32,)},
        {"regions": (*AZURE_US.regions, "westeurope")},
        {"imds": "http://127.0.0.1:1"},
        {"tls_roots": ""},
        {"name": "x"},
    ):
        assert not is_production(msgspec.structs.replace(AZURE_US, **change))


def test_unknown_field_in_a_trust() -> None:
    data = msgspec.json.encode(AZURE_US)[:-1] + b',"verify":false}'
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(data, type=Trust)


@pytest.mark.parametrize("url", ["https://mine.wus3.attest.azure.net/certs", "https://mine.weu.attest.azure.net"])
def test_a_provider_has_no_path_and_is_in_the_trust(url: str) -> None:
    assert (
        provider_endpoint(AZURE_US, "https://mine.wus3.attest.azure.net/").base == "https://mine.wus3.attest.azure.net"
    )
    with rejected("maa-url", fault=Fault.CONFIG_INVALID):
        provider_endpoint(AZURE_US, url)


def test_production_providers() -> None:
    for url in ("https://sharedeus.eus.attest.azure.net", "https://mine.wus3.attest.azure.net/"):
        assert base(url, *AZURE_US.maa_hosts) == url.rstrip("/")
    assert base("https://sharedugv.ugv.attest.azure.us", *AZURE_USGOV.maa_hosts)


@pytest.mark.parametrize(
    "url",
    [
        "http://sharedeus.eus.attest.azure.net",
        "https://sharedweu.weu.attest.azure.net",
        "https://eus.attest.azure.net",
        "https://.eus.attest.azure.net",
        "https://a.b.eus.attest.azure.net",
        "https://sharedeus.eus.attest.azure.net.evil.example",
        "https://evil.example/.eus.attest.azure.net",
        "https://evil.example#x.eus.attest.azure.net",
        "https://evil.example?x.eus.attest.azure.net",
        "https://user:pw@sharedeus.eus.attest.azure.net",
        "https://sharedeus.eus.attest.azure.net:443@sharedeus.eus.attest.azure.net:443",
        "https://sharedeus.eus.attest.azure.net:444",
        "https://sharedeus.eus.attest.azure.net:",
        "https://sharedeus.eus.attest.azure.net.",
        "https://SHAREDEUS.eus.attest.azure.net",
        "https://SHAREDEUS.eus.attest.azure.net:443",
        "https://sharedеus.eus.attest.azure.net",  # noqa: RUF001 - a Cyrillic letter, that is the point
        "https://sharedeus.eus.attest.azure.net?x=1",
        "https://sharedeus.eus.attest.azure.net#x",
        "ftp://sharedeus.eus.attest.azure.net",
        "https://[::1]",
        "https://sharedeus.eus.attest.azure.net:99999",
        "sharedeus.eus.attest.azure.net",
        "file:///etc/passwd",
        "",
    ],
)
def test_a04_other_hosts(url: str) -> None:
    with rejected(fault=Fault.CONFIG_INVALID):
        base(url, *AZURE_US.maa_hosts)
    with rejected("maa-url"):
        Attester(trust=AZURE_US, maa_url=url, reference=ReferenceValues())


@pytest.mark.parametrize(("url", "pattern"), [("https://", ""), ("https:///x", "https://"), ("https://a.", "a.")])
def test_a15_a_pin_without_a_name_is_none(url: str, pattern: str) -> None:
    with rejected("x") as caught:
        base(url, pattern)
    assert isinstance(caught.value.__cause__, ValueError)  # neither is read, so they are not compared


@pytest.mark.parametrize(
    "region", ["westeurope", "canadacentral", "eastus2euap", "usgovvirginia", "EastUS", "eastus ", ""]
)
def test_h04_a_machine_elsewhere_is_refused(region: str) -> None:
    with rejected("region", fault=Fault.POLICY_MISMATCH):
        require_region(AZURE_US, region)


def test_regions_of_each_cloud() -> None:
    assert require_region(AZURE_US, "eastus2") == require_region(AZURE_US, "eastus2", stated="eastus2") == "eastus2"
    assert require_region(AZURE_USGOV, "usgovtexas") == "usgovtexas"
    assert not set(AZURE_US.regions) & set(AZURE_USGOV.regions)
    nowhere = msgspec.structs.replace(AZURE_US, regions=())
    for trust, stated in ((nowhere, None), (AZURE_US, "westus"), (AZURE_US, "")):
        with rejected("region"):
            require_region(trust, "eastus", stated=stated)


def test_patterns_with_port_and_scheme() -> None:
    assert base("https://127.0.0.1:8443", "127.0.0.1:8443") == "https://127.0.0.1:8443"
    assert base("http://127.0.0.1:80", "http://127.0.0.1") == "http://127.0.0.1"
    for url in ("https://127.0.0.1", "http://127.0.0.1:8443", "https://127.0.0.1:8444"):
        with rejected("x"):
            base(url, "127.0.0.1:8443")
    with rejected("x"):
        base("https://x.example")


def test_resource_of_a_vault() -> None:
    hsm = endpoint(
        "https://a.managedhsm.azure.net/keys/x", AZURE_US.vault_hosts, resource="https://vault.azure.net", check="x"
    )
    assert (hsm.resource, hsm.path) == ("https://managedhsm.azure.net", "/keys/x")
    assert endpoint("https://h:1", ("h:1",), resource="https://r", check="x").resource == "https://r"


def test_attester_takes_a_provider_without_path() -> None:
    with rejected("maa-url"):
        Attester(trust=AZURE_US, maa_url="https://sharedeus.eus.attest.azure.net/x", reference=ReferenceValues())
    Attester(trust=AZURE_US, maa_url="https://sharedeus.eus.attest.azure.net", reference=ReferenceValues())


def test_the_deployment_takes_the_same_regions() -> None:
    template = (ROOT / "deploy" / "bicep" / "main.bicep").read_text()
    allowed = re.search(r"@allowed\(\[([^\]]*)\]\)\nparam location ", template)
    assert allowed is not None
    # Texas has no regional attestation provider, which judges disks there
    wanted = [region for region in (*AZURE_US.regions, *AZURE_USGOV.regions) if region != "usgovtexas"]
    assert re.findall(r"'([a-z0-9]+)'", allowed[1]) == wanted


@pytest.mark.parametrize("region", ["westeurope", "usgovvirginia", ""])
def test_attester_takes_a_region_of_its_cloud(region: str) -> None:
    url = "https://sharedeus.eus.attest.azure.net"
    Attester(trust=AZURE_US, maa_url=url, reference=ReferenceValues(), region="eastus")
    with rejected("region", fault=Fault.CONFIG_INVALID):
        Attester(trust=AZURE_US, maa_url=url, reference=ReferenceValues(), region=region)


def test_default_reference_values_are_possible() -> None:
    check_reference(ReferenceValues())


def test_qualifying_data_bind_key_and_nonce() -> None:
    one = qualifying_data(b"k" * 32, b"n" * 32)
    assert len(one) == 32
    assert len({one, qualifying_data(b"k" * 32, b"m" * 32), qualifying_data(b"l" * 32, b"n" * 32)}) == 3
    assert bytes.fromhex(maa_nonce(one)) == one
    for key, nonce in ((b"", b"n" * 32), (b"k" * 32, b""), (b"k" * 31, b"n" * 33)):
        with rejected("nonce-length"):
            qualifying_data(key, nonce)
