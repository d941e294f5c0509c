# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Reading TOML configuration into strict models, with one clear line for what is wrong.

Unknown keys are refused: a misspelt limit that is silently ignored is worse than no limit.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from coterie_common.errors import ConfigurationError
from coterie_common.files import read_bytes
from coterie_common.limits import CONFIG_FILE_BYTES


class StrictModel(BaseModel):
    """Base of configuration models: immutable, unknown keys refused, no silent coercion of types."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


Model = TypeVar("Model", bound=BaseModel)


def load_toml(path: Path, what: str, *, parse_float: Callable[[str], Any] = float) -> dict[str, Any]:
    """Parse a TOML file; pass ``parse_float=Decimal`` where numbers must stay what the person wrote.

    Raises:
        ConfigurationError: missing, too large, not UTF-8 or no TOML; the text says where.
    """
    content = read_bytes(path, what, most=CONFIG_FILE_BYTES)
    try:
        return tomllib.loads(content.decode("utf-8"), parse_float=parse_float)
    except UnicodeDecodeError as cause:
        raise ConfigurationError(f"{what} {path} is not UTF-8 at byte {cause.start}") from cause
    except tomllib.TOMLDecodeError as cause:
        raise ConfigurationError(f"{what} {path} is not valid TOML: {cause}") from cause


def parse(model: type[Model], table: dict[str, Any], where: str) -> Model:
    """Check ``table`` against ``model``.

    Args:
        model: the pydantic model.
        table: what was read.
        where: how to call the source in the error, such as ``"party.toml"``.

    Raises:
        ConfigurationError: lists every offending key with what is expected of it.
    """
    try:
        return model.model_validate(table)
    except ValidationError as cause:
        problems = "; ".join(describe(error) for error in cause.errors(include_url=False))
        raise ConfigurationError(f"{where}: {problems}") from cause


def load(model: type[Model], path: Path, what: str) -> Model:
    """Read a TOML file and check it; raises ``ConfigurationError`` as ``load_toml`` and ``parse`` do."""
    return parse(model, load_toml(path, what), str(path))


def describe(error: Any) -> str:
    """Say one pydantic error in words: which key and what is expected of it."""
    key = ".".join(str(part) for part in error["loc"]) or "the file"
    if error["type"] == "extra_forbidden":
        return f"{key} is not a known key"
    if error["type"] == "missing":
        return f"{key} is missing"
    return f"{key}: {error['msg'][:1].lower()}{error['msg'][1:]}"
