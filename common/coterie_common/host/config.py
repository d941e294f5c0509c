# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Reading TOML configuration files into strict models; every error is one clear line."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

from coterie_common.errors import ConfigurationError
from coterie_common.files import read_bytes
from coterie_common.limits import CONFIG_FILE_BYTES
from coterie_common.strict_model import Model, parse

_MAX_DEPTH: Final = 33
"""Depth of nested tables and lists, the file itself included: more than a job file may have."""


def load_toml(path: Path, what: str, *, parse_float: Callable[[str], Any] = float) -> dict[str, Any]:
    """Parse a TOML file; pass ``parse_float=Decimal`` where numbers must stay as written.

    Raises:
        ConfigurationError: missing, too large, not UTF-8 or not TOML; the message names the place.
    """
    content = read_bytes(path, what, maximum=CONFIG_FILE_BYTES)
    try:
        table = tomllib.loads(content.decode("utf-8"), parse_float=parse_float)
    except UnicodeDecodeError as cause:
        raise ConfigurationError(f"{what} {path} is not UTF-8 at byte {cause.start}") from cause
    except tomllib.TOMLDecodeError as cause:
        raise ConfigurationError(f"{what} {path} is not valid TOML: {cause}") from cause
    except RecursionError as cause:
        raise _too_deep(path, what) from cause
    layer: list[Any] = [table]
    # Layer by layer, because a dotted key nests tables to any depth.
    for _ in range(_MAX_DEPTH):
        layer = [inner for value in layer for inner in _inner(value)]
    if layer:
        raise _too_deep(path, what)
    return table


def _inner(value: Any) -> Iterable[Any]:
    return value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()


def _too_deep(path: Path, what: str) -> ConfigurationError:
    return ConfigurationError(f"{what} {path} has tables or lists nested more than {_MAX_DEPTH} deep")


def load(model: type[Model], path: Path, what: str) -> Model:
    """Read a TOML file and check it.

    Raises:
        ConfigurationError: as raised by ``load_toml`` and ``strict_model.parse``.
    """
    return parse(model, load_toml(path, what), str(path))
