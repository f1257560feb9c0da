"""The cache of signing keys as a machine: whatever is published, fails, passes and is asked, in any order."""

import contextlib

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from cji_attestation import AZURE_US, AttestationError, Fault
from cji_attestation.maa import SigningKeys
from cji_attestation.maa.jwks import COOL_DOWN, LIFETIME, REFRESH, RETRY
from cji_attestation.provider_policy.administration import _stored
from cji_attestation.trust import endpoint
from cji_simulator.encoding import b64url, rsa_jwk
from tests.support.rsa_keys import rsa_key

KEYS = {kid: rsa_key(number).public_key() for number, kid in enumerate("abc")}
ISSUER = "https://sharedeus.eus.attest.azure.net"
TIMES = (RETRY, COOL_DOWN, REFRESH, LIFETIME)


class Cache(RuleBasedStateMachine):
    """`seen` is when each key was last in a document that the cache got; `asked` is (time, whether it got one)."""

    def __init__(self) -> None:
        super().__init__()
        self.time = 0.0
        self.published = {"a"}
        self.up = True
        self.seen: dict[str, float] = {}
        self.asked: list[tuple[float, bool]] = []
        issuer = endpoint(ISSUER, AZURE_US.maa_hosts, resource="", check="maa-url")
        self.keys = SigningKeys(issuer=issuer, trust=AZURE_US, monotonic=lambda: self.time, fetch=self.ask)

    def ask(self) -> bytes:
        self.asked.append((self.time, self.up))
        if not self.up:
            raise AttestationError(Fault.MAA_UNAVAILABLE, check="jwks")
        self.seen |= dict.fromkeys(self.published, self.time)
        return msgspec.json.encode({"keys": [{"kid": kid, **rsa_jwk(KEYS[kid])} for kid in self.published]})

    @rule(kids=st.sets(st.sampled_from("abc"), min_size=1))
    def publish(self, kids: set[str]) -> None:
        self.published = kids

    @rule(up=st.booleans())
    def switch(self, up: bool) -> None:
        self.up = up

    @rule(seconds=st.sampled_from([1.0, *TIMES, *(one + 1 for one in TIMES)]))
    def wait(self, seconds: float) -> None:
        self.time += seconds

    @rule(kid=st.sampled_from("abcd"))
    def get(self, kid: str) -> None:
        found = None
        with contextlib.suppress(AttestationError):
            found = self.keys.get(kid)
        believed = kid in self.seen and self.time - self.seen[kid] <= LIFETIME
        assert (found is not None) is believed
        assert found is None or found.key == KEYS[kid]

    @invariant()
    def the_provider_is_left_in_peace(self) -> None:
        for (before, answered), (after, _) in zip(self.asked, self.asked[1:], strict=False):
            assert after - before > (COOL_DOWN if answered else RETRY)


Cache.TestCase.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
TestCache = Cache.TestCase


PART = st.binary(max_size=30).map(b64url) | st.sampled_from(["", "e30", b64url(b'{"AttestationPolicy":"YQ"}')])


@given(st.text(max_size=60) | st.lists(PART, min_size=2, max_size=4).map(".".join))
def test_any_statement_of_a_policy(text: str) -> None:
    with contextlib.suppress(AttestationError):
        _stored(text)
