# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Optional libraries: checking that a host has one, and the error if it does not.

The check does not import the library: a party plans jobs in the process that holds its keys, and runs no foreign code
there.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Final

from coterie_common.errors import MissingLibrary

_TITLES: Final = {"torch": "PyTorch"}
_MANUAL: Final = "docs/deployment.md says how to install it"


def check_library(module: str, folders: Sequence[Path] = ()) -> None:
    """Check that a library is installed; it is not imported.

    Args:
        module: name of its top-level module.
        folders: searched in addition to this interpreter's module path.

    Raises:
        MissingLibrary: it is not installed.
    """
    if module not in sys.modules and PathFinder.find_spec(module, [*sys.path, *map(str, folders)]) is None:
        raise MissingLibrary(f"this host lacks {_title(module)}: {_MANUAL}")


@contextmanager
def needing(module: str, what: str) -> Iterator[None]:
    """Run a body that imports an optional library.

    Args:
        module: name of its top-level module.
        what: the name of the user of the library.

    Raises:
        MissingLibrary: the body raised ``ImportError``.
    """
    try:
        yield
    except ImportError as cause:
        if cause.name and cause.name.partition(".")[0] == module:
            raise MissingLibrary(f"this host lacks {_title(module)}, which {what} needs: {_MANUAL}") from cause
        raise MissingLibrary(f"this host cannot load {what}: {cause}") from cause


def _title(module: str) -> str:
    return _TITLES.get(module, module)
