"""The keys that a profile names: in files, in a vault, or in a PKCS#11 token."""

from collections.abc import Callable
from pathlib import Path
from typing import TypedDict, TypeVar

from cji_client.errors import SpecError
from cji_client.profile import ClientProfile, DeviceKey
from cji_client.signers import Decrypter, KeyDecrypter, KeySigner, Signer
from cji_client.vault_keys import VaultDecrypter, VaultSigner
from cji_core.format.keys import load_recipient_key, load_signing_key
from cji_core.format.passphrases import Passphrase, passphrase_of

T = TypeVar("T")


def signer_named(profile: ClientProfile, passphrase: Passphrase | None = None) -> Signer:
    """The key that signs job headers; SpecError if the profile names none, or it cannot be used."""
    if profile.signer is not None:
        return signer_of_device(profile.signer)
    if not profile.signing_key:
        raise SpecError("the profile names no signing_key", remedy="Make one with `cji key new-signing`.")
    path = Path(profile.signing_key)
    return KeySigner(load_signing_key(path, passphrase=passphrase_of(path, passphrase)))


def decrypter_named(profile: ClientProfile, passphrase: Passphrase | None = None) -> Decrypter | None:
    """The key that opens results, None if the profile names none; SpecError if it cannot be used."""
    device = profile.decrypter
    if device is not None and device.vault is not None:
        return with_extra(lambda: VaultDecrypter(str(device.vault), ca_file=device.ca_file), "vault")
    if device is not None:
        from cji_client.pkcs11_keys import TokenDecrypter  # noqa: PLC0415 - few profiles name a token

        return with_extra(lambda: TokenDecrypter(Path(str(device.pkcs11)), **of_token(device)), "pkcs11")
    if profile.recipient_key is None:
        return None
    path = Path(profile.recipient_key)
    return KeyDecrypter(load_recipient_key(path, passphrase=passphrase_of(path, passphrase)))


def signer_of_device(device: DeviceKey) -> Signer:
    """The signing key that a device keeps."""
    if device.vault is not None:
        return with_extra(lambda: VaultSigner(str(device.vault), ca_file=device.ca_file), "vault")
    from cji_client.pkcs11_keys import TokenSigner  # noqa: PLC0415 - as above

    return with_extra(lambda: TokenSigner(Path(str(device.pkcs11)), **of_token(device)), "pkcs11")


class _Token(TypedDict):
    token: str
    label: str
    pin: Callable[[], str]


def of_token(device: DeviceKey) -> _Token:
    """How a key in a PKCS#11 token is named; its PIN is read when the session opens."""
    from cji_core.pkcs11 import pin_in  # noqa: PLC0415 - as above

    return {"token": str(device.token), "label": str(device.label), "pin": lambda: pin_in(Path(str(device.pin_file)))}


def with_extra(make: Callable[[], T], extra: str) -> T:
    """SpecError names the extra of cji-client that a kind of key needs, where it is not installed."""
    try:
        return make()
    except ModuleNotFoundError as error:
        remedy = f"Install it: pip install 'cji-client[{extra}]'."
        raise SpecError(f"the key needs the package {error.name}", remedy=remedy) from None
