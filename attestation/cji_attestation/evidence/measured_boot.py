"""The second quote of a machine, over PCRs 8 to 15, and the event logs that explain PCRs 0 to 15."""

import msgspec


class MeasuredBoot(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Made with the first quote, over the same qualifying data. `command_line` is the kernel's, as it reports it."""

    quote: bytes  # TPMS_ATTEST
    quote_signature: bytes  # RSASSA-SHA256 by the AK
    pcrs: tuple[bytes, ...]  # SHA-256 PCRs 8 to 15
    firmware_log: bytes  # as the kernel's binary_bios_measurements
    userspace_log: bytes  # systemd's records, and the worker's own start
    command_line: str
