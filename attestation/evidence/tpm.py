"""The vTPM of an Azure confidential VM: read, quote, certify, decrypt. One process uses it at a time, one lock deep.

Objects (azure confidential-computing-cvm-guest-attestation; openvmm tpm_protocol):
NV 0x01400001 HCL report · NV 0x01400002 user data for the next report, 64 bytes, defined by the guest ·
NV 0x01C101D0 AK certificate · 0x81000003 AK, RSA-2048, RSASSA-SHA256, restricted.

The ephemeral key is a primary of the NULL hierarchy: its seed dies with the boot. Its template holds a salt, so each
attestation has its own key, and its policy holds PCRs 0-7, so it decrypts only while they stay as they were quoted.
Nothing persists and every transient object and session is flushed, also after an error.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Literal, Self, TypeAlias, TypeVar

from tpm2_pytss import ESAPI, TSS2_Exception
from tpm2_pytss.constants import ESYS_TR, TPM2_ALG, TPM2_SE, TPMA_NV
from tpm2_pytss.types import (
    TPM2B_DATA,
    TPM2B_DIGEST,
    TPM2B_NV_PUBLIC,
    TPM2B_PUBLIC,
    TPM2B_PUBLIC_KEY_RSA,
    TPM2B_SENSITIVE_CREATE,
    TPML_PCR_SELECTION,
    TPMS_NV_PUBLIC,
    TPMS_RSA_PARMS,
    TPMS_SCHEME_HASH,
    TPMT_PUBLIC,
    TPMT_RSA_DECRYPT,
    TPMT_RSA_SCHEME,
    TPMT_SIG_SCHEME,
    TPMT_SYM_DEF,
    TPMT_SYM_DEF_OBJECT,
    TPMU_ASYM_SCHEME,
    TPMU_PUBLIC_ID,
    TPMU_PUBLIC_PARMS,
)

from attestation.errors import AttestationError, Fault
from attestation.evidence.tpm_structures import PCRS, policy_pcr_digest

__all__ = ["AK_CERT_INDEX", "HCL_INDEX", "USER_DATA_INDEX", "EphemeralKey", "Padding", "Tpm"]

HCL_INDEX: Final = 0x01400001
USER_DATA_INDEX: Final = 0x01400002
AK_CERT_INDEX: Final = 0x01C101D0
AK_HANDLE: Final = 0x81000003
NV_CHUNK: Final = 1024  # TPM2_PT_NV_BUFFER_MAX
MAX_NV_BYTES: Final = 8192
USER_DATA_BYTES: Final = 64
MAX_QUALIFYING: Final = 50  # bytes; Azure's vTPM answers TPM_RC_SIZE to more
EPHEMERAL_ATTRIBUTES: Final = 0x20432  # decrypt, noDA, sensitiveDataOrigin, fixedParent, fixedTPM; policy only
SELECTION: Final = "sha256:" + ",".join(map(str, PCRS))

RC_NONE: Final = 0
RC_NO_HANDLE: Final = 0x18B  # on NV: the index does not exist
RC_NV_UNINITIALIZED: Final = 0x14A
RC_POLICY: Final = 0x99D  # TPM_RC_POLICY_FAIL in a session: a PCR changed
RC_AGAIN: Final = frozenset(
    {
        0x902,  # TPM_RC_OBJECT_MEMORY: objects of other processes, which they flush
        0x903,  # TPM_RC_SESSION_MEMORY, likewise
        0x908,  # TPM_RC_YIELDED
        0x90A,  # TPM_RC_TESTING
        0x920,  # TPM_RC_NV_RATE
        0x922,  # TPM_RC_RETRY
        0x923,  # TPM_RC_NV_UNAVAILABLE
    }
)
"""Warnings that pass (TPM 2.0 part 2 §6.6.3). TPM_RC_LOCKOUT (0x921) is none: no object here counts failures."""
ATTEMPTS: Final = 6
PAUSE: Final = 0.05  # seconds, doubled each time

TPM_LAYER: Final = 0
RESOURCE_MANAGER_LAYER: Final = 11

_LOCK: Final = threading.Lock()
T = TypeVar("T")
Padding: TypeAlias = Literal["rsaes", "oaep-sha256"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EphemeralKey:
    """What an ephemeral key shows of itself: TPM2B_PUBLIC, and the AK's certify of it."""

    public: bytes
    certify: bytes
    signature: bytes


def _code(error: TSS2_Exception) -> int:
    """The TPM's own response code; RC_NONE where the TSS's layers failed before there was one (TSS 2.0 overview)."""
    layer = int(error.rc) >> 16
    return int(error.rc) & 0xFFF if layer in (TPM_LAYER, RESOURCE_MANAGER_LAYER) else RC_NONE


def _again(operation: Callable[[], T]) -> T:
    """Repeat while the TPM asks for it."""
    attempt, pause = 1, PAUSE
    while True:
        try:
            return operation()
        except TSS2_Exception as error:
            if _code(error) not in RC_AGAIN or attempt == ATTEMPTS:
                raise
        time.sleep(pause)
        attempt, pause = attempt + 1, 2 * pause


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
                part = bytes(_again(lambda: self._esapi.nv_read(handle, count, at, auth)))  # noqa: B023 - called at once
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
                    _again(lambda: self._esapi.nv_undefine_space(handle))
                    handle, attributes = self._define_user_data()
            except TSS2_Exception as error:
                if _code(error) != RC_NO_HANDLE:
                    raise
                handle, attributes = self._define_user_data()
            auth = handle if attributes & int(TPMA_NV.AUTHWRITE) else ESYS_TR.OWNER
            _again(lambda: self._esapi.nv_write(handle, data, 0, auth))
        except TSS2_Exception as error:
            raise self._nv_error(USER_DATA_INDEX, error) from error

    def pcr_values(self) -> tuple[bytes, ...]:
        """SHA-256 PCRs 0 to 7."""
        try:
            _, selected, digests = _again(lambda: self._esapi.pcr_read(SELECTION))
        except TSS2_Exception as error:
            raise AttestationError(Fault.EVIDENCE_UNAVAILABLE, check="pcr-read") from error
        values = tuple(bytes(digest) for digest in digests)
        if len(values) != len(PCRS) or selected.marshal() != TPML_PCR_SELECTION.parse(SELECTION).marshal():
            raise AttestationError(Fault.EVIDENCE_INVALID, check="pcr-read")
        return values

    def ak_public(self) -> bytes:
        """TPM2B_PUBLIC of the attestation key."""
        try:
            public, *_ = _again(lambda: self._esapi.read_public(self._ak()))
        except TSS2_Exception as error:
            raise AttestationError(Fault.EVIDENCE_UNAVAILABLE, check="ak") from error
        return bytes(public.marshal())

    def quote(self, qualifying_data: bytes) -> tuple[bytes, bytes]:
        """(TPMS_ATTEST, RSASSA signature) of PCRs 0-7 under the AK, with at most 50 bytes of qualifying data."""
        if len(qualifying_data) > MAX_QUALIFYING:
            raise AttestationError(Fault.CONFIG_INVALID, check="qualifying-length")
        try:
            ak = self._ak()
            attest, signature = _again(lambda: self._esapi.quote(ak, SELECTION, TPM2B_DATA(qualifying_data)))
            return bytes(attest), bytes(signature.signature.rsassa.sig)
        except TSS2_Exception as error:
            raise AttestationError(Fault.EVIDENCE_UNAVAILABLE, check="quote") from error

    def ephemeral_key(self, *, salt: bytes, pcrs: tuple[bytes, ...]) -> EphemeralKey:
        """Make the key of this salt and these PCR values, have the AK certify it, and flush it."""
        try:
            with self._primary(salt, pcrs) as (handle, public):
                ak = self._ak()
                scheme = TPMT_SIG_SCHEME(scheme=TPM2_ALG.NULL)
                attest, signature = _again(lambda: self._esapi.certify(handle, ak, TPM2B_DATA(b""), scheme))
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
                    raise AttestationError(Fault.EVIDENCE_INVALID, check="ephemeral-key")
                selection = TPML_PCR_SELECTION.parse(SELECTION)
                _again(lambda: self._esapi.policy_pcr(session, TPM2B_DIGEST(), selection))
                plain = _again(
                    lambda: self._esapi.rsa_decrypt(
                        handle, TPM2B_PUBLIC_KEY_RSA(ciphertext), _scheme(padding), session1=session
                    )
                )
                return bytearray(plain.buffer)
        except TSS2_Exception as error:
            if _code(error) == RC_POLICY:
                raise AttestationError(Fault.EVIDENCE_INVALID, check="pcr-changed") from error
            if _code(error) in RC_AGAIN | {RC_NONE}:
                raise AttestationError(Fault.EVIDENCE_UNAVAILABLE, check="tpm") from error
            raise AttestationError(Fault.RELEASE_INVALID, check="tpm-decrypt") from error

    # ---- below: TPM handles, never outside this class ----

    def _nv(self, index: int) -> tuple[Any, int, int]:
        handle = _again(lambda: self._esapi.tr_from_tpmpublic(index))
        public, _ = _again(lambda: self._esapi.nv_read_public(handle))
        size = int(public.nvPublic.dataSize)
        if size > MAX_NV_BYTES:
            raise AttestationError(Fault.EVIDENCE_INVALID, check=f"nv-{index:08x}")
        return handle, size, int(public.nvPublic.attributes)

    def _define_user_data(self) -> tuple[Any, int]:
        attributes = TPMA_NV.OWNERREAD | TPMA_NV.OWNERWRITE | TPMA_NV.AUTHREAD | TPMA_NV.AUTHWRITE
        public = TPM2B_NV_PUBLIC(
            nvPublic=TPMS_NV_PUBLIC(
                nvIndex=USER_DATA_INDEX,
                nameAlg=TPM2_ALG.SHA256,
                attributes=attributes,
                authPolicy=b"",
                dataSize=USER_DATA_BYTES,
            )
        )
        return _again(lambda: self._esapi.nv_define_space(b"", public)), int(attributes)

    def _ak(self) -> Any:
        return _again(lambda: self._esapi.tr_from_tpmpublic(AK_HANDLE))

    @contextmanager
    def _primary(self, salt: bytes, pcrs: tuple[bytes, ...]) -> Iterator[tuple[Any, bytes]]:
        template = TPM2B_PUBLIC(
            publicArea=TPMT_PUBLIC(
                type=TPM2_ALG.RSA,
                nameAlg=TPM2_ALG.SHA256,
                objectAttributes=EPHEMERAL_ATTRIBUTES,
                authPolicy=TPM2B_DIGEST(policy_pcr_digest(pcrs)),
                parameters=TPMU_PUBLIC_PARMS(
                    rsaDetail=TPMS_RSA_PARMS(
                        symmetric=TPMT_SYM_DEF_OBJECT(algorithm=TPM2_ALG.NULL),
                        scheme=TPMT_RSA_SCHEME(scheme=TPM2_ALG.NULL),
                        keyBits=2048,
                        exponent=0,
                    )
                ),
                unique=TPMU_PUBLIC_ID(rsa=TPM2B_PUBLIC_KEY_RSA(salt)),
            )
        )
        handle, public, *_ = _again(
            lambda: self._esapi.create_primary(TPM2B_SENSITIVE_CREATE(), template, ESYS_TR.NULL)
        )
        try:
            yield handle, public.marshal()
        finally:
            _again(lambda: self._esapi.flush_context(handle))

    @contextmanager
    def _policy_session(self) -> Iterator[Any]:
        session = _again(
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
            _again(lambda: self._esapi.flush_context(session))

    @staticmethod
    def _nv_error(index: int, error: TSS2_Exception) -> AttestationError:
        if _code(error) == RC_NO_HANDLE and index == HCL_INDEX:
            return AttestationError(Fault.NOT_CONFIDENTIAL, check="hcl-report")
        if _code(error) == RC_NV_UNINITIALIZED and index == AK_CERT_INDEX:
            return AttestationError(Fault.EVIDENCE_UNAVAILABLE, check="ak-cert-pending")
        return AttestationError(Fault.EVIDENCE_UNAVAILABLE, check=f"nv-{index:08x}")


def _scheme(padding: Padding) -> Any:
    if padding == "rsaes":
        return TPMT_RSA_DECRYPT(scheme=TPM2_ALG.RSAES)
    return TPMT_RSA_DECRYPT(
        scheme=TPM2_ALG.OAEP, details=TPMU_ASYM_SCHEME(anySig=TPMS_SCHEME_HASH(hashAlg=TPM2_ALG.SHA256))
    )
