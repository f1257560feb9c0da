"""The vTPM of an Azure confidential VM: read, quote, certify, decrypt. One process uses it at a time, one lock deep.

Objects (azure confidential-computing-cvm-guest-attestation; openvmm tpm_protocol):
NV 0x01400001 HCL report · NV 0x01400002 user data for the next report, 64 bytes, defined by the guest ·
NV 0x01C101D0 AK certificate · 0x81000003 AK, RSA-2048, RSASSA-SHA256, restricted.

Nothing persists: every transient object and session is flushed, also after an error.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self

from tpm2_pytss import ESAPI, TSS2_Exception
from tpm2_pytss.constants import ESYS_TR, TPM2_ALG, TPM2_SE, TPMA_NV
from tpm2_pytss.types import (
    TPM2B_DATA,
    TPM2B_DIGEST,
    TPM2B_EVENT,
    TPM2B_PUBLIC_KEY_RSA,
    TPM2B_SENSITIVE_CREATE,
    TPML_PCR_SELECTION,
    TPMT_SIG_SCHEME,
    TPMT_SYM_DEF,
)

from cji_attestation.errors import AttestationError, Fault, invalid
from cji_attestation.evidence.tpm_response import (
    RC_AGAIN,
    RC_NO_HANDLE,
    RC_NONE,
    RC_NV_UNINITIALIZED,
    RC_POLICY,
    again,
    code,
)
from cji_attestation.evidence.tpm_structures import PCRS, TpmClock
from cji_attestation.evidence.tpm_templates import (
    USER_DATA_BYTES,
    USER_DATA_INDEX,
    Padding,
    decrypt_scheme,
    ephemeral_template,
    user_data_index,
)

HCL_INDEX: Final = 0x01400001
AK_CERT_INDEX: Final = 0x01C101D0
AK_HANDLE: Final = 0x81000003
NV_CHUNK: Final = 1024  # TPM2_PT_NV_BUFFER_MAX
MAX_NV_BYTES: Final = 8192
MAX_QUALIFYING: Final = 50  # bytes; Azure's vTPM answers TPM_RC_SIZE to more

_LOCK: Final = threading.Lock()


def _selected(pcrs: tuple[int, ...]) -> str:
    return "sha256:" + ",".join(map(str, pcrs))


@dataclass(frozen=True, slots=True, kw_only=True)
class EphemeralKey:
    """An ephemeral key's own evidence: TPM2B_PUBLIC, and the AK's certification of it."""

    public: bytes
    certify: bytes
    signature: bytes


class Tpm:
    """An open connection to the vTPM; a context manager that holds the process's TPM lock while it is open."""

    def __init__(self, tcti: str) -> None:
        self._tcti = tcti
        self._esapi: Any = None

    def __enter__(self) -> Self:
        _LOCK.acquire()
        try:
            self._esapi = ESAPI(self._tcti)
        except Exception as error:  # the TCTI loader raises RuntimeError and TSS2_Exception alike
            _LOCK.release()
            raise AttestationError(Fault.EVIDENCE_UNAVAILABLE, check="tpm-open") from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        esapi, self._esapi = self._esapi, None
        try:
            esapi.close()
        finally:
            _LOCK.release()

    def nv_read(self, index: int) -> bytes:
        """Read a whole NV index, from offset 0 upwards in chunks of at most 1024 bytes."""
        try:
            handle, size, attributes = self._nv(index)
            owner = not attributes & int(TPMA_NV.AUTHREAD)
            auth = ESYS_TR.OWNER if owner else handle
            data = bytearray()
            while len(data) < size:
                count = min(NV_CHUNK, size - len(data))
                at = len(data)
                part = bytes(again(lambda: self._esapi.nv_read(handle, count, at, auth)))  # noqa: B023 - called at once
                if len(part) != count:
                    raise AttestationError(Fault.EVIDENCE_UNAVAILABLE, check=f"nv-{index:08x}")
                data += part
            return bytes(data)
        except TSS2_Exception as error:
            raise self._nv_error(index, error) from error

    def write_user_data(self, data: bytes) -> None:
        """Put 64 bytes where the next hardware report takes its user data from; defines the index if needed."""
        if len(data) != USER_DATA_BYTES:
            raise AttestationError(Fault.CONFIG_INVALID, check="user-data-length")
        try:
            try:
                handle, size, attributes = self._nv(USER_DATA_INDEX)
                if size != USER_DATA_BYTES:
                    again(lambda: self._esapi.nv_undefine_space(handle))
                    handle, attributes = self._define_user_data()
            except TSS2_Exception as error:
                if code(error) != RC_NO_HANDLE:
                    raise
                handle, attributes = self._define_user_data()
            auth = handle if attributes & int(TPMA_NV.AUTHWRITE) else ESYS_TR.OWNER
            again(lambda: self._esapi.nv_write(handle, data, 0, auth))
        except TSS2_Exception as error:
            raise self._nv_error(USER_DATA_INDEX, error) from error

    def pcr_values(self, pcrs: tuple[int, ...] = PCRS) -> tuple[bytes, ...]:
        """The SHA-256 values of these PCRs, eight at most."""
        wanted = _selected(pcrs)
        try:
            _, selected, digests = again(lambda: self._esapi.pcr_read(wanted))
        except TSS2_Exception as error:
            raise AttestationError(Fault.EVIDENCE_UNAVAILABLE, check="pcr-read") from error
        values = tuple(bytes(digest) for digest in digests)
        if len(values) != len(pcrs) or selected.marshal() != TPML_PCR_SELECTION.parse(wanted).marshal():
            raise invalid("pcr-read")
        return values

    def clock(self) -> TpmClock:
        """The TPM's clock now, unsigned; a quote has a signed one."""
        try:
            info = again(self._esapi.read_clock).clockInfo
        except TSS2_Exception as error:
            raise AttestationError(Fault.EVIDENCE_UNAVAILABLE, check="clock") from error
        return TpmClock(
            clock=info.clock, reset_count=info.resetCount, restart_count=info.restartCount, safe=bool(info.safe)
        )

    def ak_public(self) -> bytes:
        """TPM2B_PUBLIC of the attestation key."""
        try:
            public, *_ = again(lambda: self._esapi.read_public(self._ak()))
        except TSS2_Exception as error:
            raise AttestationError(Fault.EVIDENCE_UNAVAILABLE, check="ak") from error
        return bytes(public.marshal())

    def measure(self, pcr: int, data: bytes) -> None:
        """Extend a PCR by the digest of `data`, in every bank (TPM2_PCR_Event). Only a reboot undoes it."""
        try:
            again(lambda: self._esapi.pcr_event(ESYS_TR(ESYS_TR.PCR0 + pcr), TPM2B_EVENT(data)))
        except TSS2_Exception as error:
            raise AttestationError(Fault.EVIDENCE_UNAVAILABLE, check="pcr-extend") from error

    def quote(self, qualifying_data: bytes, pcrs: tuple[int, ...] = PCRS) -> tuple[bytes, bytes]:
        """(TPMS_ATTEST, RSASSA signature) of these PCRs under the AK, with at most 50 bytes of qualifying data."""
        if len(qualifying_data) > MAX_QUALIFYING:
            raise AttestationError(Fault.CONFIG_INVALID, check="qualifying-length")
        try:
            ak = self._ak()
            attest, signature = again(lambda: self._esapi.quote(ak, _selected(pcrs), TPM2B_DATA(qualifying_data)))
            return bytes(attest), bytes(signature.signature.rsassa.sig)
        except TSS2_Exception as error:
            raise AttestationError(Fault.EVIDENCE_UNAVAILABLE, check="quote") from error

    def ephemeral_key(self, *, salt: bytes, pcrs: tuple[bytes, ...]) -> EphemeralKey:
        """Make the key of this salt and these PCR values, have the AK certify it, and flush it."""
        try:
            with self._primary(salt, pcrs) as (handle, public):
                ak = self._ak()
                scheme = TPMT_SIG_SCHEME(scheme=TPM2_ALG.NULL)
                attest, signature = again(lambda: self._esapi.certify(handle, ak, TPM2B_DATA(b""), scheme))
                return EphemeralKey(
                    public=public, certify=bytes(attest), signature=bytes(signature.signature.rsassa.sig)
                )
        except TSS2_Exception as error:
            raise AttestationError(Fault.EVIDENCE_UNAVAILABLE, check="ephemeral-key") from error

    def rsa_decrypt(
        self,
        ciphertext: bytes,
        *,
        padding: Padding,
        salt: bytes,
        pcrs: tuple[bytes, ...],
        public: bytes,
    ) -> bytearray:
        """Decrypt with the re-made ephemeral key under a PolicyPCR session; the caller wipes the result.

        Errors: EVIDENCE_INVALID "pcr-changed" (attest again), EVIDENCE_INVALID "ephemeral-key" when the key that was
        attested cannot be made any more (the TPM was reset), RELEASE_INVALID "tpm-decrypt" for a wrong ciphertext,
        EVIDENCE_UNAVAILABLE "tpm" when the TPM is busy or gone.
        """
        try:
            with self._primary(salt, pcrs) as (handle, made), self._policy_session() as session:
                if made != public:
                    raise invalid("ephemeral-key")
                selection = TPML_PCR_SELECTION.parse(_selected(PCRS))
                again(lambda: self._esapi.policy_pcr(session, TPM2B_DIGEST(), selection))
                plain = again(
                    lambda: self._esapi.rsa_decrypt(
                        handle, TPM2B_PUBLIC_KEY_RSA(ciphertext), decrypt_scheme(padding), session1=session
                    )
                )
                return bytearray(plain.buffer)
        except TSS2_Exception as error:
            if code(error) == RC_POLICY:
                raise invalid("pcr-changed") from error
            if code(error) in RC_AGAIN | {RC_NONE}:
                raise AttestationError(Fault.EVIDENCE_UNAVAILABLE, check="tpm") from error
            raise AttestationError(Fault.RELEASE_INVALID, check="tpm-decrypt") from error

    # ---- below: TPM handles, never outside this class ----

    def _nv(self, index: int) -> tuple[Any, int, int]:
        handle = again(lambda: self._esapi.tr_from_tpmpublic(index))
        public, _ = again(lambda: self._esapi.nv_read_public(handle))
        size = int(public.nvPublic.dataSize)
        if size > MAX_NV_BYTES:
            raise invalid(f"nv-{index:08x}")
        return handle, size, int(public.nvPublic.attributes)

    def _define_user_data(self) -> tuple[Any, int]:
        public = user_data_index()
        handle = again(lambda: self._esapi.nv_define_space(b"", public))
        return handle, int(public.nvPublic.attributes)

    def _ak(self) -> Any:
        return again(lambda: self._esapi.tr_from_tpmpublic(AK_HANDLE))

    @contextmanager
    def _primary(self, salt: bytes, pcrs: tuple[bytes, ...]) -> Iterator[tuple[Any, bytes]]:
        template = ephemeral_template(salt=salt, pcrs=pcrs)
        handle, public, *_ = again(lambda: self._esapi.create_primary(TPM2B_SENSITIVE_CREATE(), template, ESYS_TR.NULL))
        try:
            yield handle, public.marshal()
        finally:
            again(lambda: self._esapi.flush_context(handle))

    @contextmanager
    def _policy_session(self) -> Iterator[Any]:
        session = again(
            lambda: self._esapi.start_auth_session(
                tpm_key=ESYS_TR.NONE,
                bind=ESYS_TR.NONE,
                session_type=TPM2_SE.POLICY,
                symmetric=TPMT_SYM_DEF(algorithm=TPM2_ALG.NULL),
                auth_hash=TPM2_ALG.SHA256,
            )
        )
        try:
            yield session
        finally:
            again(lambda: self._esapi.flush_context(session))

    @staticmethod
    def _nv_error(index: int, error: TSS2_Exception) -> AttestationError:
        if code(error) == RC_NO_HANDLE and index == HCL_INDEX:
            return AttestationError(Fault.NOT_CONFIDENTIAL, check="hcl-report")
        if code(error) == RC_NV_UNINITIALIZED and index == AK_CERT_INDEX:
            return AttestationError(Fault.EVIDENCE_UNAVAILABLE, check="ak-cert-pending")
        return AttestationError(Fault.EVIDENCE_UNAVAILABLE, check=f"nv-{index:08x}")
