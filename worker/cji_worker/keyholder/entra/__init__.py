"""The second identity of a submitter: an access token of Microsoft Entra, bound to its client certificate.

    key_sets   the signing keys of each tenant, fetched by a thread of their own and read by the main thread
    token      one token against one rule of the policy: pure
    identity   the token that came with a call against the submitter's rule, and again after a reload

The JOSE library is imported here and nowhere else in the worker.
"""

from cji_worker.keyholder.entra.identity import SecondIdentity
from cji_worker.keyholder.entra.key_sets import KeySets
from cji_worker.keyholder.entra.token import TokenRefused, VerifiedToken, require_rule

__all__ = ["KeySets", "SecondIdentity", "TokenRefused", "VerifiedToken", "require_rule"]
