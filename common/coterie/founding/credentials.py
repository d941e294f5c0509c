# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Issuing credentials to operators and scientists, and keeping them up to date with the roster."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Final

from coterie.credential_folder import PEOPLE, import_credential
from coterie.founding.home import FederationHome, FounderKeys
from coterie.founding.register import Admission, Register
from coterie_common.errors import MalformedMessage, OldKeyError
from coterie_common.files import make_private_folder, read_bytes, write_atomically
from coterie_common.identifiers import MemberId
from coterie_common.limits import KEY_FILE_BYTES
from coterie_common.membership.credential import IssuedCredential

FOUNDERS_OPERATOR: Final = MemberId("operator")
"""Id of the operator whose credential is in the founder's own folder."""


def credential_path(home: FederationHome, person: str) -> Path:
    """Return the path of the file that a person imports."""
    return home.credentials / f"{person}.credential"


def refresh_credentials(
    home: FederationHome, register: Register, unlock: Callable[[], FounderKeys], *, now: datetime
) -> None:
    """Write the credential of everybody whose file is missing or does not hold the newest roster.

    Args:
        home: the founder's folder.
        register: who was admitted.
        unlock: returns the founder's keys; called only if something must be signed.
        now: time by which the founder's own credential is checked.
    """
    make_private_folder(home.credentials)
    for person in register.with_role(*PEOPLE):
        path = credential_path(home, person.id)
        if not _is_current(home, path, person):
            keys = unlock()
            issued = IssuedCredential.create(
                person.certificate, keys.authority.certificate, home.latest_roster(), keys.signing_key
            )
            write_atomically(path, issued.to_bytes())
    if register.find(FOUNDERS_OPERATOR):
        import_credential(home.operator, credential_path(home, FOUNDERS_OPERATOR), now=now)


def _is_current(home: FederationHome, path: Path, person: Admission) -> bool:
    if not path.is_file():
        return False
    try:
        issued = IssuedCredential.from_bytes(read_bytes(path, "the credential", maximum=KEY_FILE_BYTES))
    except (MalformedMessage, OldKeyError):
        return False
    return issued.certificate == person.certificate and issued.signed_roster == home.latest_roster()
