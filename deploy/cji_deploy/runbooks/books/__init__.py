"""The runbooks, one file each."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from cji_deploy.runbooks.books import (
    certificates,
    decommission,
    deploy,
    device,
    image,
    incident,
    maa_outage,
    recover,
    revoke,
    rotate,
    tcb,
)
from cji_deploy.runbooks.steps import Runbook

__all__ = ["BOOKS"]

BOOKS: Final[Mapping[str, Runbook]] = MappingProxyType(
    {
        book.name: book
        for book in (
            deploy.BOOK,
            rotate.BOOK,
            revoke.BOOK,
            recover.BOOK,
            maa_outage.BOOK,
            tcb.BOOK,
            certificates.BOOK,
            image.UPGRADE,
            image.ROLLBACK,
            incident.BOOK,
            device.BOOK,
            decommission.BOOK,
        )
    }
)
