# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Checking a person's input against a strict model; every error is one clear line.

Pure: the caller supplies the table (``coterie_common.host.config`` reads files).
Unknown keys are refused: a misspelt limit that is silently ignored is worse than no limit.
"""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from coterie_common.errors import ConfigurationError


class StrictModel(BaseModel):
    """Base of configuration models: immutable, unknown keys refused, no silent coercion of types."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


Model = TypeVar("Model", bound=BaseModel)


def parse(model: type[Model], table: dict[str, Any], where: str) -> Model:
    """Check ``table`` against ``model``.

    Args:
        model: the pydantic model.
        table: the parsed input.
        where: the name of the source in errors, such as ``"party.toml"``.

    Raises:
        ConfigurationError: the message lists every offending key with its expected values.
    """
    try:
        return model.model_validate(table)
    except ValidationError as cause:
        problems = "; ".join(describe(error) for error in cause.errors(include_url=False))
        raise ConfigurationError(f"{where}: {problems}") from cause


def describe(error: Any) -> str:
    """Return one pydantic error in words: the key and its expected values."""
    key = ".".join(str(part) for part in error["loc"]) or "the file"
    if error["type"] == "extra_forbidden":
        return f"{key} is not a known key"
    if error["type"] == "missing":
        return f"{key} is missing"
    message = error["msg"].removeprefix("Value error, ")
    return f"{key}: {message[:1].lower()}{message[1:]}" if error["loc"] else message
