"""Saved jobs: files in the form of `job.toml`, without records, which `cji job run --spec` takes.

What the profile's `[job]` states is not repeated in them. A side table is the name of a file beside the saved job.
"""

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from cji_client.errors import SpecError
from cji_client.spec import JobSpec, load_spec

_HEAD: Final = "# Saved by `cji desk`. Run it: cji job run FILE --spec THIS --profile client.toml --out result\n"


class SavedJobs:
    """Those in one folder."""

    def __init__(self, folder: Path, defaults: Mapping[str, object]) -> None:
        """`defaults` are the fields in `[job]` of the profile."""
        self.folder, self._defaults = folder, defaults

    def names(self) -> list[str]:
        """Without suffix, in order."""
        return sorted(path.stem for path in self.folder.glob("*.toml"))

    def load(self, name: str) -> JobSpec:
        """One of them; SpecError if it is not a job for this profile."""
        if name not in self.names():
            raise SpecError("there is no such saved job", remedy="Choose one from the list.")
        return load_spec(self.folder / f"{name}.toml", defaults=self._defaults)

    def fields(self, name: str) -> dict[str, Any]:
        """The fields of one of them, without its records, its files and its operations."""
        found: dict[str, Any] = _changed(self.load(name))
        return {field: found[field] for field in found if field not in ("input", "sides", "operations")}

    def save(self, name: str, spec: JobSpec, files: Mapping[str, str]) -> Path:
        """Write one; `files` are names of side tables by role. SpecError if the name is taken or empty."""
        stem = "".join(c if c.isalnum() or c in " -_" else "" for c in name).strip()[:80]
        if not stem:
            raise SpecError("a saved job needs a name", remedy="Write some letters or digits.")
        path = self.folder / f"{stem}.toml"
        try:
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
                file.write(_HEAD)
                file.writelines(toml_lines(_table(spec, self._defaults, files)))
        except FileExistsError:
            raise SpecError(f"a saved job {stem} exists", remedy="Choose another name.") from None
        except OSError as error:
            raise SpecError(f"{path} cannot be written ({error.strerror})", remedy="Choose another folder.") from None
        return path


def _table(spec: JobSpec, defaults: Mapping[str, object], files: Mapping[str, str]) -> dict[str, Any]:
    """The fields of a spec that differ from their defaults, and from those of the profile.

    The recipients of a profile are names of files there, and keys in a spec.
    """
    found: dict[str, Any] = _changed(spec)
    same = {name for name, value in found.items() if name in defaults and value == defaults[name]}
    same |= {"recipients"} & defaults.keys()
    found = {name: value for name, value in found.items() if name not in same}
    for role, side in found.get("sides", {}).items():
        side["file"] = files[role]
    return found


def _changed(of: Any) -> Any:
    """A struct as a table of the fields that differ from their defaults, and its tag."""
    if isinstance(of, msgspec.Struct):
        tag = of.__struct_config__.tag
        made = {} if tag is None else {of.__struct_config__.tag_field: tag}
        for each in msgspec.structs.fields(of):
            value = getattr(of, each.name)
            default = each.default if each.default_factory is msgspec.NODEFAULT else each.default_factory()
            if default is msgspec.NODEFAULT or value != default:
                made[each.encode_name] = _changed(value)
        return made
    if isinstance(of, Mapping):
        return {name: _changed(value) for name, value in of.items()}
    if isinstance(of, list | tuple):
        return [_changed(value) for value in of]
    return msgspec.to_builtins(of, enc_hook=str)


def toml_lines(table: Mapping[str, Any], path: tuple[str, ...] = ()) -> Iterator[str]:
    """TOML: values first, then tables and lists of tables under their headings."""
    for name, value in table.items():
        if not _is_table(value) and not _is_tables(value):
            yield f"{json.dumps(name)} = {_value(value)}\n" if not _is_bare(name) else f"{name} = {_value(value)}\n"
    for name, value in table.items():
        heading = ".".join(one if _is_bare(one) else json.dumps(one) for one in (*path, name))
        if _is_table(value):
            yield f"\n[{heading}]\n"
            yield from toml_lines(value, (*path, name))
        elif _is_tables(value):
            for each in value:
                yield f"\n[[{heading}]]\n"
                yield from toml_lines(each, (*path, name))


def _is_bare(name: str) -> bool:
    return bool(name) and all(c.isascii() and (c.isalnum() or c in "-_") for c in name)


def _is_table(value: Any) -> bool:
    return isinstance(value, dict)


def _is_tables(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(each, dict) for each in value)


def _value(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, dict):
        pairs = (f"{json.dumps(name)} = {_value(each)}" for name, each in value.items())
        return f"{{ {', '.join(pairs)} }}"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return json.dumps(value)
