"""Inputs that the fuzzer found: each got past a reader, or out of it as an exception that is not ours."""

import msgspec
import pytest
from cryptography.hazmat.primitives.keywrap import aes_key_wrap_with_padding
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from attestation import AZURE_US, AttestationError, Fault
from attestation.evidence.pcs import _ends
from attestation.release.unwrap import unwrap_into
from attestation.trust import endpoint
from tests.att_forge import machine
from tests.att_tdx_forge import intel


@pytest.mark.parametrize("odd", ["\n", "\t", "\r", " ", "\x00", "\x7f", "é", "\u2028"])
@pytest.mark.parametrize(
    "url", ["https://cji{}.vault.azure.net/", "https://cji.vault.azure.net/{}", "{}https://cji.vault.azure.net"]
)
def test_k04_characters_that_url_readers_drop(url: str, odd: str) -> None:
    with pytest.raises(AttestationError) as caught:
        endpoint(url.format(odd), AZURE_US.vault_hosts, resource="", check="url")
    assert caught.value.fault is Fault.CONFIG_INVALID


def test_released_key_of_an_unknown_kind() -> None:
    der = machine().ek.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    rsa_oid = bytes.fromhex("06092a864886f70d010101")
    wrapped = aes_key_wrap_with_padding(bytes(32), der.replace(rsa_oid, rsa_oid[:-1] + b"\x63"))
    with pytest.raises(AttestationError) as caught:
        unwrap_into(
            bytes(256) + wrapped,
            memoryview(bytearray(4096)),
            decrypt=lambda _: bytearray(32),
            public_key=machine().ek.public_key(),
        )
    assert (caught.value.fault, caught.value.check) == (Fault.RELEASE_INVALID, "unwrap")


def test_list_of_revoked_certificates_of_an_unknown_version() -> None:
    collateral = intel().collateral()
    at = collateral.pck_crl.index(b"\x02\x01\x01")  # version, an INTEGER: 1 is version 2
    crl = collateral.pck_crl[:at] + b"\x02\x01\x05" + collateral.pck_crl[at + 3 :]
    with pytest.raises(AttestationError) as caught:
        _ends(msgspec.structs.replace(collateral, pck_crl=crl))
    assert (caught.value.fault, caught.value.check) == (Fault.EVIDENCE_UNAVAILABLE, "pcs-crl")
