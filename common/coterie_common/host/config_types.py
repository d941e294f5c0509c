# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Types of configuration entries that party and aggregator share: text in the file, checked values in the program."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, TypeAlias, TypeVar

from pydantic import BeforeValidator

from coterie_common.address import Address
from coterie_common.errors import ConfigurationError
from coterie_common.fingerprint import read_fingerprint
from coterie_common.identifiers import MemberId, PartyId, parse_member_id, parse_party_id

T = TypeVar("T")


def from_text(parse: Callable[[str], T]) -> BeforeValidator:
    """Return a validator that turns an entry's text into a value and reports errors in the parser's words."""

    def validate(value: Any) -> T:
        if not isinstance(value, str):
            raise ValueError("must be text in quotes")
        try:
            return parse(value)
        except ConfigurationError as cause:
            raise ValueError(cause.message) from cause

    return BeforeValidator(validate)


def _path(text: str) -> Path:
    if not text:
        raise ConfigurationError("must not be empty")
    return Path(text)


MemberIdEntry: TypeAlias = Annotated[MemberId, from_text(parse_member_id)]
PartyIdEntry: TypeAlias = Annotated[PartyId, from_text(parse_party_id)]
FingerprintEntry: TypeAlias = Annotated[str, from_text(read_fingerprint)]
PathEntry: TypeAlias = Annotated[Path, from_text(_path)]
AddressEntry: TypeAlias = Annotated[Address, from_text(Address.parse)]
