"""A counter in the vTPM's NV memory that only increases, for anything on this machine that must not be rolled back.

The index is of type TPM_NT_COUNTER: it can be incremented and read, never written. The first increment sets it above
every value of a counter that was ever removed from this TPM, so removing and defining it again cannot set it back (TPM
2.0 Library, Part 3, TPM2_NV_Increment). It is defined with the owner's authorisation, which is empty on Azure: anyone
who can open the TPM can increment it or remove it, and nobody can decrease it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from tpm2_pytss import TSS2_Exception
from tpm2_pytss.constants import ESYS_TR, TPM2_ALG, TPM2_NT, TPMA_NV
from tpm2_pytss.types import TPM2B_NV_PUBLIC, TPMS_NV_PUBLIC

from cji_attestation.errors import invalid
from cji_attestation.evidence.tpm import Tpm
from cji_attestation.evidence.tpm_response import RC_NO_HANDLE, RC_NV_UNINITIALIZED, again, code

COUNTER_BYTES: Final = 8
_ATTRIBUTES: Final = TPMA_NV.OWNERWRITE | TPMA_NV.OWNERREAD | TPMA_NV.NO_DA | int(TPM2_NT.COUNTER) << 4


class NvCounter(Tpm):
    """An open connection to the vTPM for the counter at one NV index. Errors: EVIDENCE_UNAVAILABLE.

    EVIDENCE_INVALID, with the index as the check, if it is defined as anything but such a counter.
    """

    def __init__(self, tcti: str, index: int) -> None:
        super().__init__(tcti)
        self._index = index

    def value(self) -> int | None:
        """The current value; None if the index is not defined, or was never incremented."""
        with self._named(self._index):
            try:
                return self._read(self._index)
            except TSS2_Exception as error:
                if code(error) not in (RC_NO_HANDLE, RC_NV_UNINITIALIZED):
                    raise
                return None

    def increment(self) -> int:
        """Increment the counter, defining it if needed; return its new value."""
        with self._named(self._index):
            return self._increment(self._index)

    def highest(self) -> int:
        """The value below the first one of a counter that is defined next.

        Found by a counter at the index after this one, which is removed again.
        """
        scratch = self._index + 1
        with self._named(scratch):
            value = self._increment(scratch)
            again(lambda: self._esapi.nv_undefine_space(self._handle(scratch)))
            return value

    @contextmanager
    def _named(self, index: int) -> Iterator[None]:
        try:
            yield
        except TSS2_Exception as error:
            raise self._nv_error(index, error) from error

    def _increment(self, index: int) -> int:
        handle = self._defined(index)
        again(lambda: self._esapi.nv_increment(handle, ESYS_TR.OWNER))
        return self._read(index)

    def _read(self, index: int) -> int:
        handle = self._handle(index)
        data = again(lambda: self._esapi.nv_read(handle, COUNTER_BYTES, 0, ESYS_TR.OWNER))
        return int.from_bytes(bytes(data), "big")

    def _defined(self, index: int) -> Any:
        try:
            return self._handle(index)
        except TSS2_Exception as error:
            if code(error) != RC_NO_HANDLE:
                raise
        again(lambda: self._esapi.nv_define_space(b"", _counter(index)))
        return self._handle(index)

    def _handle(self, index: int) -> Any:
        """The handle of a defined index, if it is a counter with our attributes."""
        handle, _, attributes = self._nv(index)  # a TPM defines counters of eight bytes only
        if attributes & ~int(TPMA_NV.WRITTEN) != int(_ATTRIBUTES):
            raise invalid(f"nv-{index:08x}", found=f"attributes {attributes:#x}", expected=f"{int(_ATTRIBUTES):#x}")
        return handle


def _counter(index: int) -> Any:
    return TPM2B_NV_PUBLIC(
        nvPublic=TPMS_NV_PUBLIC(
            nvIndex=index,
            nameAlg=TPM2_ALG.SHA256,
            attributes=_ATTRIBUTES,
            authPolicy=b"",
            dataSize=COUNTER_BYTES,
        )
    )
