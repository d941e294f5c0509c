# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The folder that holds the credential of an operator or scientist.

The founder's operator gets one when the federation is founded. Everybody else makes a key and a request here, has the
request admitted, and imports the file that comes back.

- ``key.pem``: the person's TLS key, 0600. ``ID.request``: the request.
- ``founder``: the pinned fingerprint of the founder.
- ``credential.json``: the credential that the founder issued, written last.
- ``aggregator``: HOST:PORT of the aggregator that answered last; a convenience, never trusted: its certificate counts.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from coterie_common.address import DEFAULT_PORT, Address
from coterie_common.crypto.certificates import (
    Identity,
    Role,
    check_belongs,
    check_issued,
    identity_of,
    make_tls_key,
)
from coterie_common.errors import (
    ConfigurationError,
    KeyFileError,
    MalformedMessage,
    PeerError,
    StorageError,
    WrongOrderError,
)
from coterie_common.files import make_private_folder, read_bytes, write_atomically
from coterie_common.identifiers import MemberId
from coterie_common.limits import KEY_FILE_BYTES
from coterie_common.membership.credential import IssuedCredential
from coterie_common.membership.enrolment import Applicant, EnrolmentRequest, read_request, refuse_former_request
from coterie_common.membership.founder_pin import check_pin, pin_founder, pinned_founder
from coterie_common.membership.key_files import read_tls_key, write_tls_key
from coterie_common.membership.membership import TlsCredentials
from coterie_common.protocol.roster import SignedRoster, founder_fingerprint

PEOPLE: Final = (Role.OPERATOR, Role.SCIENTIST)

_KEY: Final = "key.pem"
_ISSUED: Final = "credential.json"
_AGGREGATOR: Final = "aggregator"
_ADDRESS_BYTES: Final = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """A person's credential, verified.

    Attributes:
        identity: federation, role and id.
        tls: for connecting to the aggregator.
        founder: fingerprint of the founder.
        signed_roster: the roster, if keys had been dealt when it was issued.
    """

    identity: Identity
    tls: TlsCredentials
    founder: str
    signed_roster: SignedRoster | None


def create_credential_request(folder: Path, person: MemberId, role: Role, founder: str | None) -> EnrolmentRequest:
    """Make a key and a request; later calls return the same request.

    Args:
        folder: the folder of the credential; made if it is missing.
        person: the requested id.
        role: operator or scientist.
        founder: the founder's fingerprint to pin, canonical; ``None`` trusts the first credential imported.

    Raises:
        ConfigurationError: the folder holds the request of somebody else, or pins another founder.
    """
    applicant = Applicant(role=role, id=person)
    refuse_former_request(folder)
    existing = sorted(folder.glob("*.request"))
    if existing:
        request = read_request(existing[0])
        if request.applicant != applicant:
            raise ConfigurationError(f"{folder} already holds the request {existing[0].name}; take another folder")
        check_pin(folder, founder)
        return request
    make_private_folder(folder)
    key = make_tls_key()
    request = EnrolmentRequest.create(applicant, key, None)
    write_tls_key(folder / _KEY, key)
    if founder is not None:
        pin_founder(folder, founder)
    write_atomically(folder / f"{person}.request", request.to_bytes())
    return request


def import_credential(folder: Path, issued_file: Path, *, now: datetime) -> Credential:
    """Verify and keep the credential in a file; as ``take_credential``."""
    if not (folder / _KEY).is_file():
        raise WrongOrderError(f"{folder} holds no key; first run 'coterie credential init'")
    data = read_bytes(issued_file, "the credential", maximum=KEY_FILE_BYTES)
    try:
        return take_credential(folder, data, now=now)
    except MalformedMessage as cause:
        raise KeyFileError(f"{issued_file} is no credential: {cause.message}") from cause


def take_credential(folder: Path, data: bytes, *, now: datetime) -> Credential:
    """Verify and keep the credential that the founder issued; a later one of the same founder replaces it.

    Raises:
        MalformedMessage: it is no credential.
        PeerError: the credential is another founder's, altered, somebody else's, or not valid now.
    """
    issued = IssuedCredential.from_bytes(data)
    founder = pinned_founder(folder) or founder_fingerprint(issued.founder_key)
    credential = _checked(folder, issued, founder)
    check_issued(issued.certificate, issued.authority, now=now)
    pin_founder(folder, founder)
    write_atomically(folder / _ISSUED, data)
    return credential


def load_credential(folder: Path) -> Credential:
    """Load a credential folder.

    Raises:
        WrongOrderError: nothing was imported yet; the message names the first step.
        KeyFileError: a file in it is damaged, or they do not belong together.
    """
    if not (folder / _ISSUED).is_file():
        step = "coterie credential import FILE" if (folder / _KEY).is_file() else "coterie credential init ID"
        raise WrongOrderError(f"{folder} holds no credential; first run '{step}'")
    data = read_bytes(folder / _ISSUED, "the credential", maximum=KEY_FILE_BYTES)
    try:
        return _checked(folder, IssuedCredential.from_bytes(data), pinned_founder(folder))
    except PeerError as cause:
        raise KeyFileError(f"{folder / _ISSUED} cannot be used: {cause.message}") from cause


def aggregator_of(folder: Path, credential: Credential) -> str:
    """Return ``HOST:PORT`` of the aggregator that answered last, or of the first name in the roster.

    Raises:
        ConfigurationError: the credential was never used, and was issued before keys were dealt.
    """
    path = folder / _AGGREGATOR
    if path.is_file():
        return read_bytes(path, "the remembered aggregator", maximum=_ADDRESS_BYTES).decode("utf-8", "replace").strip()
    if credential.signed_roster is not None:
        return str(Address(credential.signed_roster.roster.aggregator.names[0], DEFAULT_PORT))
    raise ConfigurationError(
        f"no aggregator is known: name it once with --aggregator HOST:PORT or COTERIE_AGGREGATOR; {folder} keeps it"
    )


def remember_first_aggregator(folder: Path, host: str) -> None:
    """Keep where the aggregator listens by default, unless one answered before."""
    if not (folder / _AGGREGATOR).is_file():
        remember_aggregator(folder, str(Address(host, DEFAULT_PORT)))


def remember_aggregator(folder: Path, target: str) -> None:
    """Keep ``HOST:PORT`` for the next command; a folder that cannot be written to keeps nothing."""
    line = f"{target}\n".encode()
    path = folder / _AGGREGATOR
    with suppress(StorageError, OSError):
        if not path.is_file() or path.read_bytes() != line:
            write_atomically(path, line)


def _checked(folder: Path, issued: IssuedCredential, founder: str | None) -> Credential:
    if founder is None:
        raise KeyFileError(f"{folder} pins no founder; import the credential again")
    issued.verify(founder)
    key = read_tls_key(folder / _KEY)
    check_belongs(issued.certificate, key)
    return Credential(
        identity=identity_of(issued.certificate),
        tls=TlsCredentials(key=key, certificate=issued.certificate, authority=issued.authority),
        founder=founder,
        signed_roster=issued.signed_roster,
    )
