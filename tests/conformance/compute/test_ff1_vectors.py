"""The sample values of NIST SP 800-38G, "FF1samples"."""

import json
import os
import string
from pathlib import Path

import numpy as np
import pytest

from cji_operations.deidentify.tokens import ecb
from cji_operations.kernels.ff1 import Ff1
from tests.reference import ff1 as cmp_ff1_twin

VECTORS = os.environ.get("CJI_VECTORS")
ALPHABET = string.digits + string.ascii_lowercase
SAMPLES = json.loads((Path(VECTORS) / "cji/crypto/ff1_samples.json").read_text()) if VECTORS else []


@pytest.mark.vectors
def test_all_nine_samples() -> None:
    assert [sample["sample"] for sample in SAMPLES] == list(range(1, 10))
    for sample in SAMPLES:
        key, tweak = bytes.fromhex(sample["key"]), bytes.fromhex(sample["tweak"])
        plain = [ALPHABET.index(c) for c in sample["pt"]]
        wanted = [ALPHABET.index(c) for c in sample["ct"]]
        cipher = Ff1(ecb(key), radix=sample["radix"], length=len(plain), tweak=tweak)
        sealed = cipher.encrypt(np.array([plain], np.uint8).T)
        assert sealed[:, 0].tolist() == wanted == cmp_ff1_twin.encrypt(key, tweak, sample["radix"], plain)
        assert cipher.decrypt(sealed)[:, 0].tolist() == plain
