"""Values of a configuration that are still those of the example, deploy/worker.example.toml.

The example writes what an operator must replace in capitals, as a word of its own: POOL, https://VAULT.vault.azure.net.
No address, id or thumbprint of Azure has such a word, except these identifiers by chance: a letter in front of them or
behind them makes another word of it.
"""

import re
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from cji_core.command.findings import NotOk
from cji_core.format.configuration.worker import Config

_WORDS: Final = ("NAME", "POOL", "PROVIDER", "THUMBPRINT", "VAULT", "VERSION", "WORKER-1")
_PLACEHOLDER: Final = re.compile(
    rf"(?<![\w-])(?:{'|'.join(_WORDS)})(?![\w-])|\A00000000-0000-0000-0000-000000000000\Z|\A\.\.\.\Z|\"\.\.\.\""
)


def check_placeholders(config: Config) -> str:
    """Raises NotOk that names each key whose value is a placeholder."""
    found = sorted(_found("", msgspec.to_builtins(config)))
    if found:
        raise NotOk(
            f"still the example's value: {', '.join(found)}",
            "Replace them with the deployment's outputs, which the comments in deploy/worker.example.toml name.",
        )
    return "no placeholder of the example is left"


def _found(key: str, value: Any) -> Iterator[str]:
    """The keys, as in TOML, of texts that are placeholders. The name of an environment is not read."""
    match value:
        case dict():
            for name, one in value.items():
                yield from _found(f"{key}.{name}" if key else name, one)
        case list() | tuple():
            for at, one in enumerate(value):
                yield from _found(f"{key}[{at}]", one)
        case str() if _PLACEHOLDER.search(value):
            yield key
