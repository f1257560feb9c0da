"""The one refusal of this room."""

from cji_core.boot_codes import BootCode
from cji_core.errors import StartupError


class BundleRefused(StartupError):  # noqa: N818 - the domain's word, as in StartupError's base
    """A bundle, or what one was to be made of, that cannot be used.

    `status` is the exit status of `cji bundle`: 2 for unusable input, 3 for what must not be trusted, 4 for a service
    that did not answer. `boot_code` is what a machine shows that cannot start for it.
    """

    def __init__(self, what: str, remedy: str, *, status: int = 2, boot_code: BootCode = BootCode.UNUSABLE) -> None:
        super().__init__(what, remedy)
        self.status = status
        self.boot_code = boot_code
