"""What the front takes from the door: exactly that, once, and strong enough."""

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import DNSName, GeneralName, RFC822Name, SubjectAlternativeName, UniformResourceIdentifier

from cji_core.errors import Reason, Stage
from cji_simulator.certificates import authority, leaf, pem
from cji_worker.door.report import CERTIFICATE_HEADER, SOURCE_HEADER, TLS_HEADER
from cji_worker.front.peer import AUTHORIZATION_HEADER, Metadata, read_peer
from cji_worker.ipc.messages import MAX_AUTHORIZATION, Presented
from tests.support.connections import STRONG, TRANSPORT, escaped
from tests.support.refusals import refused

URI = "spiffe://cji.example/agency/someone"
CA = authority("Agency CA", ec.generate_private_key(ec.SECP256R1()))
SOURCE = "[127.0.0.1]:5000"


def certificate(*names: GeneralName) -> bytes:
    extensions = [SubjectAlternativeName(names)] if names else []
    found = leaf("someone", ec.generate_private_key(ec.SECP256R1()), CA, extensions=extensions)
    return pem(found.certificate)


PEM = certificate(UniformResourceIdentifier(URI))
GOOD = escaped(PEM)


def metadata(
    data: str | bytes = GOOD, source: str | bytes = SOURCE, tls: str | bytes = STRONG
) -> list[tuple[str, str | bytes]]:
    return [("user-agent", "x"), (CERTIFICATE_HEADER, data), (SOURCE_HEADER, source), (TLS_HEADER, tls)]


def denied(found: Metadata | None) -> None:
    with refused(Reason.POLICY_DENIED, stage=Stage.OPEN):
        read_peer(found)


def test_the_doors_word_is_taken() -> None:
    assert read_peer(metadata()) == (URI, "ipv4:127.0.0.1:5000", TRANSPORT, Presented(certificate=PEM))


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("[2001:db8::1]:443", "ipv6:[2001:db8::1]:443"),
        ("[2001:0DB8:0::1]:443", "ipv6:[2001:db8::1]:443"),
        ("[::ffff:192.0.2.7]:1", "ipv4:192.0.2.7:1"),
    ],
)
def test_a_source_has_one_form(source: str, expected: str) -> None:
    assert read_peer(metadata(source=source)).source == expected


def test_a_token_is_passed_on_unread_and_bounded() -> None:
    def presented(*values: str | bytes) -> tuple[str, ...]:
        return read_peer([*metadata(), *((AUTHORIZATION_HEADER, value) for value in values)]).presented.authorization

    assert presented("Bearer x") == ("Bearer x",)
    assert presented(b"Bearer x") == ()
    assert presented("a", "b", "c") == ("a", "b")
    assert list(map(len, presented("x" * (1 << 20)))) == [MAX_AUTHORIZATION]
    assert "Bearer" not in repr(read_peer([*metadata(), (AUTHORIZATION_HEADER, "Bearer x")]))


@pytest.mark.parametrize("absent", [CERTIFICATE_HEADER, SOURCE_HEADER, TLS_HEADER])
def test_every_part_of_it_must_be_there(absent: str) -> None:
    denied([each for each in metadata() if each[0] != absent])


@pytest.mark.parametrize("twice", [CERTIFICATE_HEADER, SOURCE_HEADER, TLS_HEADER])
def test_no_part_of_it_may_come_twice(twice: str) -> None:
    denied([*metadata(), next(each for each in metadata() if each[0] == twice)])


def test_nothing_else_under_its_prefix_may_come() -> None:
    denied([*metadata(), ("cji-peer-role", "admin")])


def test_a_call_without_metadata_is_nobodys() -> None:
    denied(None)
    denied([])


@pytest.mark.parametrize(
    "tls",
    [
        "TLSv1.3 TLS_AES_128_GCM_SHA256 SUCCESS",
        "TLSv1.3 TLS_CHACHA20_POLY1305_SHA256 SUCCESS",
        "TLSv1.2 ECDHE-ECDSA-AES256-GCM-SHA384 SUCCESS",
        "TLSv1.2 TLS_AES_256_GCM_SHA384 SUCCESS",
        "TLSv1.3 TLS_AES_256_GCM_SHA384",
        "TLSv1.3 TLS_AES_256_GCM_SHA384 NONE",
        "TLSv1.3 TLS_AES_256_GCM_SHA384 FAILED:unable",
        "TLSv1.3 TLS_AES_256_GCM_SHA384 SUCCESS ",
        "TLSv1.3 TLS_AES_256_GCM_SHA384 " + "S" * 200,
        "",
        STRONG.encode(),
    ],
)
def test_x17_a_weaker_connection_is_refused(tls: str | bytes) -> None:
    denied(metadata(tls=tls))


@pytest.mark.parametrize(
    "source",
    ["", "127.0.0.1", "[127.0.0.1]", "[127.0.0.1]:0", "[127.0.0.1]:65536", "[127.0.0.1]:²", "[nowhere]:1", b"[::1]:1",
     "[fe80::1%" + "e" * 200 + "]:1"],
)  # fmt: skip
def test_a_source_of_another_shape_is_refused(source: str | bytes) -> None:
    denied(metadata(source=source))


@pytest.mark.parametrize(
    "names",
    [
        [],
        [DNSName(URI)],
        [RFC822Name(URI)],
        [UniformResourceIdentifier(URI), DNSName("x.example")],
        [UniformResourceIdentifier(URI), UniformResourceIdentifier(URI)],
        [UniformResourceIdentifier("spiffe://" + "x" * 3000)],
        [UniformResourceIdentifier("")],
    ],
    ids=["none", "DNS name", "e-mail address", "two kinds", "twice", "too long", "empty"],
)
def test_c07_a_certificate_names_exactly_one_uri(names: list[GeneralName]) -> None:
    denied(metadata(escaped(certificate(*names))))


@pytest.mark.parametrize(
    "data",
    ["", GOOD[:-40], escaped(b"text"), GOOD + "%", GOOD + "%0", GOOD + "%zz", PEM.decode(), GOOD + "+",
     GOOD + "%0A" * 6000, GOOD.encode()],
)  # fmt: skip
def test_what_is_no_certificate_is_refused(data: str | bytes) -> None:
    denied(metadata(data))
