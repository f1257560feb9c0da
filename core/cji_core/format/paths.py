"""Names of files and folders, as callers give them."""

import os
from typing import TypeAlias

FileName: TypeAlias = str | os.PathLike[str]
