"""The vTPM's counter: it only increases, also across its removal, and nothing else is taken for it."""

import contextlib
from collections.abc import Iterator
from itertools import count

import pytest
from tpm2_pytss import ESAPI, TSS2_Exception
from tpm2_pytss.constants import TPM2_ALG, TPM2_NT, TPMA_NV
from tpm2_pytss.types import TPM2B_NV_PUBLIC, TPMS_NV_PUBLIC

from cji_attestation import Fault
from cji_attestation.evidence.tpm_counter import COUNTER_BYTES, NvCounter
from cji_simulator.faults import Kind, Service
from cji_simulator.simulation import Simulation
from tests.support.refusals import rejected

_INDICES: Iterator[int] = count(0x01900000, 2)
COUNTER = TPMA_NV.OWNERWRITE | TPMA_NV.OWNERREAD | TPMA_NV.NO_DA | int(TPM2_NT.COUNTER) << 4


@pytest.fixture(autouse=True)
def _quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TSS2_LOG", "all+NONE")


@pytest.fixture
def index(simulation: Simulation) -> Iterator[int]:
    index = next(_INDICES)
    yield index
    simulation.clear_faults()
    with contextlib.suppress(TSS2_Exception):
        undefine(simulation.trust.tcti, index)


def define(tcti: str, index: int, attributes: int, size: int = COUNTER_BYTES) -> None:
    public = TPMS_NV_PUBLIC(
        nvIndex=index, nameAlg=TPM2_ALG.SHA256, attributes=attributes, authPolicy=b"", dataSize=size
    )
    with ESAPI(tcti) as tpm:
        tpm.nv_define_space(b"", TPM2B_NV_PUBLIC(nvPublic=public))


def undefine(tcti: str, index: int) -> None:
    with ESAPI(tcti) as tpm:
        tpm.nv_undefine_space(tpm.tr_from_tpmpublic(index))


def test_a_counter_begins_where_it_was_predicted(simulation: Simulation, index: int) -> None:
    with NvCounter(simulation.trust.tcti, index) as counter:
        assert counter.value() is None
        first = counter.highest() + 1
        assert counter.value() is None
        assert [counter.increment() for _ in range(3)] == [first, first + 1, first + 2]
        assert counter.value() == first + 2


def test_x13_a_counter_that_was_removed_starts_above_itself(simulation: Simulation, index: int) -> None:
    with NvCounter(simulation.trust.tcti, index) as counter:
        before = [counter.increment() for _ in range(5)][-1]
    undefine(simulation.trust.tcti, index)
    with NvCounter(simulation.trust.tcti, index) as counter:
        assert counter.value() is None
        assert counter.increment() == before + 1


def test_a_counter_that_was_never_incremented_has_no_value(simulation: Simulation, index: int) -> None:
    define(simulation.trust.tcti, index, COUNTER)
    with NvCounter(simulation.trust.tcti, index) as counter:
        assert counter.value() is None
        assert counter.increment() == counter.value()


@pytest.mark.parametrize(
    ("attributes", "size"),
    [
        (TPMA_NV.OWNERWRITE | TPMA_NV.OWNERREAD | TPMA_NV.NO_DA, COUNTER_BYTES),  # anybody could write it back
        (TPMA_NV.OWNERWRITE | TPMA_NV.OWNERREAD | TPMA_NV.NO_DA, 64),
        (COUNTER | TPMA_NV.ORDERLY, COUNTER_BYTES),  # loses increments when the machine crashes
        (COUNTER | TPMA_NV.AUTHWRITE, COUNTER_BYTES),
    ],
)
def test_x13_another_index_is_not_taken_for_the_counter(
    simulation: Simulation, index: int, attributes: int, size: int
) -> None:
    define(simulation.trust.tcti, index, attributes, size)
    with NvCounter(simulation.trust.tcti, index) as counter:
        for act in (counter.value, counter.increment):
            with rejected(f"nv-{index:08x}", fault=Fault.EVIDENCE_INVALID):
                act()


def test_a_tpm_that_is_busy_is_asked_again_and_then_named(simulation: Simulation, index: int) -> None:
    simulation.fault(Service.TPM, Kind.RETRY, times=2)
    with NvCounter(simulation.trust.tcti, index) as counter:
        assert counter.increment() > 0
        simulation.fault(Service.TPM, Kind.RETRY)
        for act in (counter.value, counter.increment, counter.highest):
            with rejected(fault=Fault.EVIDENCE_UNAVAILABLE):
                act()
