# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Founding a federation: the founder's keys, the certificate authority, and the founder's own operator credential."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Final

from coterie.credential_folder import create_credential_request
from coterie.founding.admission import admit
from coterie.founding.credentials import FOUNDERS_OPERATOR
from coterie.founding.home import FederationHome, FederationRecord, FounderKeys
from coterie_common.crypto.authority import create_authority
from coterie_common.crypto.certificates import Role
from coterie_common.crypto.identity import SigningKey
from coterie_common.errors import ConfigurationError
from coterie_common.files import make_private_folder, write_atomically
from coterie_common.identifiers import FederationName
from coterie_common.limits import KEY_BITS
from coterie_common.protocol.parameters import FederationParameters
from coterie_common.randomness import RandomSource
from coterie_common.secret import Password

_AUTHORITY_LIFETIME: Final = timedelta(days=3653)
"""Ten years: members' certificates end with the authority's, and the roster decides who is a member."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Founded:
    """A federation; ``is_new`` is false if it had been founded before."""

    record: FederationRecord
    is_new: bool


def found(
    home: FederationHome,
    federation: FederationName,
    parameters: FederationParameters,
    *,
    key_bits: int,
    ask_password: Callable[[], Password],
    random: RandomSource,
    now: datetime,
) -> Founded:
    """Found a federation; a second call with the same arguments completes missing parts and changes nothing else.

    Args:
        home: the founder's folder; made if it is missing.
        federation: its name.
        parameters: of the federation.
        key_bits: size of the threshold key to be dealt, one of ``limits.KEY_BITS``.
        ask_password: called only if something is to be locked or signed.
        random: source of the founder's signing key.
        now: start of the authority's certificate.

    Raises:
        ConfigurationError: another federation was founded here, this one is damaged, or a key size not allowed.
        KeyFileError: empty or wrong password.
    """
    if key_bits not in KEY_BITS:
        raise ConfigurationError(f"a key has {', '.join(map(str, KEY_BITS))} bits, not {key_bits}")
    ask_once = cache(ask_password)
    is_new = not home.is_founded
    if is_new:
        if home.register_path.exists():
            raise ConfigurationError(
                f"{home.record_path} is missing from a federation that has members: restore that file; "
                "founding again would destroy the founder's keys"
            )
        password = ask_once()
        make_private_folder(home.root)
        keys = FounderKeys(
            signing_key=SigningKey.generate(random),
            authority=create_authority(federation, now=now, lifetime=_AUTHORITY_LIFETIME),
        )
        home.lock_keys(keys, password, random)
        record = FederationRecord(
            federation=federation,
            parameters=parameters,
            key_bits=key_bits,
            founder_key=keys.signing_key.verify_key,
            authority=keys.authority.certificate,
        )
        write_atomically(home.record_path, record.to_bytes())
    else:
        record = home.record()
        if (record.federation, record.parameters, record.key_bits) != (federation, parameters, key_bits):
            raise ConfigurationError(
                f"{home.root} already holds the federation {record.federation} with other parameters; "
                "take another folder with --home"
            )
    request = create_credential_request(home.operator, FOUNDERS_OPERATOR, Role.OPERATOR, record.fingerprint)
    admit(home, [request], Role.OPERATOR, ask_password=ask_once, now=now)
    return Founded(record=record, is_new=is_new)
