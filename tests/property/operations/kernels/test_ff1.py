"""FF1 is the published algorithm."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cji_operations.deidentify.block_ciphers import RADIXES
from cji_operations.deidentify.tokens import ecb
from cji_operations.kernels.ff1 import Ff1, lengths
from tests.reference import ff1 as cmp_ff1_twin
from tests.support.block_values import KEY


@settings(max_examples=120, deadline=None)
@given(st.data())
def test_ff1_is_the_published_algorithm_and_has_an_inverse(data: st.DataObject) -> None:
    radix = data.draw(st.sampled_from(RADIXES))
    length = data.draw(st.sampled_from(lengths(radix)))
    tweak = data.draw(st.binary(max_size=40))
    value = st.lists(st.integers(0, radix - 1), min_size=length, max_size=length)
    edge = st.sampled_from([[0] * length, [radix - 1] * length])
    values = data.draw(st.lists(value | edge, min_size=1, max_size=5))
    cipher = Ff1(ecb(KEY), radix=radix, length=length, tweak=tweak)
    digits = np.array(values, np.uint8).T
    sealed = cipher.encrypt(digits)
    assert sealed.T.tolist() == [cmp_ff1_twin.encrypt(KEY, tweak, radix, one) for one in values]
    assert np.array_equal(cipher.decrypt(sealed), digits)


def test_ff1_of_more_values_than_a_chunk_is_that_of_each() -> None:
    digits = np.random.default_rng(7).integers(0, 10, (9, 40_000)).astype(np.uint8)
    cipher = Ff1(ecb(KEY), radix=10, length=9)
    sealed = cipher.encrypt(digits)
    assert np.array_equal(cipher.decrypt(sealed), digits)
    for row in (0, 16_383, 16_384, 39_999):
        one = cipher.encrypt(digits[:, row : row + 1])
        assert np.array_equal(one[:, 0], sealed[:, row])


@pytest.mark.parametrize(("radix", "shortest", "longest"), [(10, 6, 32), (36, 4, 20)])
def test_the_domain_of_each_length_has_a_million_values_or_more(radix: int, shortest: int, longest: int) -> None:
    assert lengths(radix) == range(shortest, longest + 1)
    assert radix**shortest >= 10**6 > radix ** (shortest - 1)
    for length in (shortest - 1, longest + 1):
        with pytest.raises(ValueError, match="length"):
            Ff1(ecb(KEY), radix=radix, length=length)
