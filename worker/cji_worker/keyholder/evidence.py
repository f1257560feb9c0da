"""Answers to `Attest`: fresh evidence for a caller's nonce."""

import asyncio
import os

from cji_core.errors import Refusal, Stage
from cji_worker.ipc import Channel, hand_over
from cji_worker.ipc.messages import Attest, Attested, FrontFromKeyholder, KeyholderFromFront
from cji_worker.keyholder.custody import Custody
from cji_worker.keyholder.effects import Effects
from cji_worker.keyholder.quotes import Quoted
from cji_worker.keyholder.receipts import ReceiptSigner


class Evidence:
    """For the main thread; quotes are made by the custody's."""

    def __init__(
        self,
        *,
        custody: Custody,
        signer: ReceiptSigner,
        effects: Effects,
        front: Channel[KeyholderFromFront, FrontFromKeyholder],
    ) -> None:
        self._custody, self._signer, self._effects, self._front = custody, signer, effects, front

    def attest(self, request: Attest) -> None:
        """Send evidence once there is a quote, or refuse."""
        call, loop = request.call, asyncio.get_running_loop()
        attestation = self._custody.holdings.evidence()
        if attestation is None:
            self._effects.refuse(call, Refusal(self._custody.holdings.why(), stage=Stage.OPEN))
            return

        def answer(result: Quoted | Refusal) -> None:
            loop.call_soon_threadsafe(deliver, result)

        def deliver(result: Quoted | Refusal) -> None:
            if isinstance(result, Refusal):
                self._effects.refuse(call, result)
                return
            message = Attested(
                call=call,
                maa_token=attestation.token.raw,
                receipt_jwk=self._signer.public_jwk,
                nonce_path=result.nonce_path,
                token_nonce=attestation.nonce,
            )
            fds = [hand_over(result.evidence), hand_over(attestation.evidence.to_json())]
            self._front.send(message, fds)
            for fd in fds:
                os.close(fd)

        self._custody.quotes.ask(request.nonce, answer)
