"""OpenSSL's own account of its providers, from a libcrypto that the process has loaded: no Python module gives it.

Source: OSSL_PROVIDER(3), OSSL_PARAM(3), provider-base(7) of OpenSSL 3.0 and later.
"""

import ctypes
from ctypes import c_char_p, c_int, c_size_t, c_uint, c_void_p
from typing import Final, NamedTuple

_INTEGER: Final = 1
_UTF8_PTR: Final = 6


class Provider(NamedTuple):
    """An active provider: its id in openssl.cnf, the name and version it reports, whether its self-tests passed."""

    id: str
    name: str
    version: str
    running: bool


class _Param(ctypes.Structure):
    _fields_ = (
        ("key", c_char_p),
        ("data_type", c_uint),
        ("data", c_void_p),
        ("data_size", c_size_t),
        ("return_size", c_size_t),
    )


_Visit = ctypes.CFUNCTYPE(c_int, c_void_p, c_void_p)


def _text(value: bytes | None) -> str:
    return (value or b"").decode("ascii", "replace")


def describe_providers(libcrypto: ctypes.CDLL) -> list[Provider]:
    """All active providers of the default library context."""
    libcrypto.OSSL_PROVIDER_get0_name.restype = c_char_p
    libcrypto.OSSL_PROVIDER_get0_name.argtypes = [c_void_p]
    libcrypto.OSSL_PROVIDER_get_params.argtypes = [c_void_p, c_void_p]
    libcrypto.OSSL_PROVIDER_do_all.argtypes = [c_void_p, _Visit, c_void_p]
    found: list[Provider] = []

    def visit(provider: int, _: int) -> int:
        name, version, status = c_char_p(), c_char_p(), c_int(0)
        wanted = (_Param * 4)(
            _Param(b"name", _UTF8_PTR, ctypes.addressof(name), 0, 0),
            _Param(b"version", _UTF8_PTR, ctypes.addressof(version), 0, 0),
            _Param(b"status", _INTEGER, ctypes.addressof(status), ctypes.sizeof(status), 0),
            _Param(),
        )
        answered = libcrypto.OSSL_PROVIDER_get_params(provider, wanted) == 1
        found.append(
            Provider(
                id=_text(libcrypto.OSSL_PROVIDER_get0_name(provider)),
                name=_text(name.value),
                version=_text(version.value),
                running=answered and status.value == 1,
            )
        )
        return 1

    libcrypto.OSSL_PROVIDER_do_all(None, _Visit(visit), None)
    return found
