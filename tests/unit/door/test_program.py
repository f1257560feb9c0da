"""Which build of nginx can be the door, read from its own account."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cji_core.errors import StartupError
from cji_worker.door.config import Build
from cji_worker.door.program import read_build

DEBIAN = """nginx version: nginx/1.26.3
built with OpenSSL 3.5.7 9 Jun 2026 (running with OpenSSL 3.5.9 29 Sep 2026)
TLS SNI support enabled
configure arguments: --with-cc-opt='-g -O2' --prefix=/usr/share/nginx --modules-path=/usr/lib/nginx/modules \
--with-http_ssl_module --with-http_v2_module --with-stream=dynamic --with-stream_ssl_module
"""
MODULE = "/usr/lib/nginx/modules/ngx_stream_module.so"


def test_debians_build_is_read() -> None:
    build = read_build(DEBIAN)
    assert build == Build((1, 26), (3, 5), MODULE)
    assert build.groups == "?X25519MLKEM768:P-384:P-256"


def test_a_build_with_the_module_inside_loads_none() -> None:
    assert read_build(DEBIAN.replace("--with-stream=dynamic", "--with-stream")).stream_module is None


def test_the_library_that_runs_counts() -> None:
    older = DEBIAN.replace(" (running with OpenSSL 3.5.9 29 Sep 2026)", "").replace("3.5.7", "3.0.13")
    assert read_build(older).groups == "P-384:P-256"
    assert read_build(DEBIAN.replace("built with OpenSSL 3.5.7", "built with OpenSSL 3.0.1")).openssl == (3, 5)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("nginx/1.26.3", "nginx/1.24.0"),
        ("nginx/1.26.3", "nginx/1"),
        ("running with OpenSSL 3.5.9", "running with OpenSSL 1.1.1"),
        ("OpenSSL", "BoringSSL"),
        ("--with-stream=dynamic", ""),
        ("--with-http_v2_module", ""),
        ("--with-http_ssl_module", ""),
        ("--modules-path=/usr/lib/nginx/modules", ""),
        ("configure arguments:", ""),
        (DEBIAN, ""),
    ],
)
def test_another_build_is_refused(old: str, new: str) -> None:
    assert old in DEBIAN
    with pytest.raises(StartupError) as error:
        read_build(DEBIAN.replace(old, new))
    assert "libnginx-mod-stream" in error.value.remedy


@given(st.text(alphabet=st.characters(codec="latin-1"), max_size=200), st.integers(0, len(DEBIAN)))
def test_any_account_is_read_or_refused(text: str, at: int) -> None:
    try:
        found = read_build(DEBIAN[:at] + text + DEBIAN[at:])
    except StartupError:
        return
    assert found.version >= (1, 26)
    assert found.openssl >= (3,)
