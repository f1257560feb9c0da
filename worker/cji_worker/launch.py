"""Start a module of the worker without `site`: no `.pth`, no `sitecustomize`, no other folder than those named here.

    python -S -s -P --check-hash-based-pycs always launch.py MODULE FOLDERS ARGUMENT...

`FOLDERS`, joined by colons, stand in front of the standard library on sys.path, so everything that can be imported is
in a folder that `cji_core.manifest` covers. Not -I: it would ignore PYTHONMALLOC, which secret heaps need; the parent
makes the environment itself. Source: Python documentation, modules `site` and `sys` (sys.path, sys.flags).
"""

import gc
import os
import runpy
import sys


def command(module: str, *arguments: str) -> list[str]:
    """The command line that starts `module` like this; it imports from the same folders as the caller."""
    from cji_core.manifest import import_folders  # noqa: PLC0415 - sys.path is set below when this file is the program

    folders = os.pathsep.join(map(str, import_folders()))
    flags = ("-S", "-s", "-P", "--check-hash-based-pycs", "always")
    return [sys.executable, *flags, os.path.abspath(__file__), module, folders, *arguments]


_OBJECTS = 20_000
"""Objects between two searches for garbage, of which imports make many and none is garbage; `receive_boot` ends it."""


class _WithoutPandas:
    """A finder of modules: there is no pandas and no dateutil.

    pyarrow imports pandas where it is installed, which takes half a second. Where dateutil is not installed, pyarrow
    looks for it each time that it infers a type: a sealed cell, which opens no file, would be killed for it.
    """

    @staticmethod
    def find_spec(name: str, *_: object) -> None:
        """Refuse these with ModuleNotFoundError, leave all else to the next finder. Source: PEP 451."""
        if name in ("pandas", "dateutil"):
            raise ModuleNotFoundError(f"no process of the worker imports {name}", name=name)


def _main() -> None:
    _, module, folders, *arguments = sys.argv
    library = os.path.dirname(os.__file__)
    sys.path[:] = [*folders.split(os.pathsep), library, os.path.join(library, "lib-dynload")]
    sys.argv = [module, *arguments]
    sys.meta_path.insert(0, _WithoutPandas)
    gc.set_threshold(_OBJECTS)
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    _main()
