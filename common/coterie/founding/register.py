# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The founder's register: everybody who was admitted, with request and certificate, in one file.

Invariant: ids are unique across all roles, and no two entries share a key.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from coterie.founding.home import FederationHome
from coterie_common import document
from coterie_common.crypto.authority import requested_key
from coterie_common.crypto.certificates import Role
from coterie_common.errors import KeyFileError, PeerError
from coterie_common.fields import Fields
from coterie_common.files import read_bytes
from coterie_common.limits import ADMISSIONS_BYTES, MAX_PARTIES
from coterie_common.membership.enrolment import EnrolmentRequest
from coterie_common.membership.membership import CERTIFICATE_LONGEST

_FORMAT: Final = "coterie-register"
_VERSION: Final = 1
_MAX_ENTRIES: Final = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """One admitted member or person.

    Attributes:
        request: as submitted.
        certificate: as issued, PEM.
        index: a party's 1-based index; 0 for everybody else.
    """

    request: EnrolmentRequest
    certificate: bytes
    index: int

    @property
    def role(self) -> Role:
        """The admitted role."""
        return self.request.applicant.role

    @property
    def id(self) -> str:
        """The admitted id."""
        return self.request.applicant.id


class Register:
    """Everybody admitted to a federation, in the order of admission."""

    def __init__(self, entries: Sequence[Admission] = ()) -> None:
        self._entries = {entry.id: entry for entry in entries}

    def find(self, member_id: str) -> Admission | None:
        """Return the admission of an id."""
        return self._entries.get(member_id)

    def with_role(self, *roles: Role) -> tuple[Admission, ...]:
        """Return the admissions of some roles: parties by index, the rest as admitted."""
        return tuple(sorted((e for e in self._entries.values() if e.role in roles), key=lambda entry: entry.index))

    def put(self, admission: Admission) -> None:
        """Add an admission, or replace the one of the same id."""
        self._entries[admission.id] = admission

    def remove(self, member_id: str) -> Admission:
        """Remove an admission; the parties after it move up, so that indices stay 1 to k.

        Raises:
            KeyError: nobody of that id is admitted.
        """
        removed = self._entries.pop(member_id)
        for index, party in enumerate(self.with_role(Role.PARTY), 1):
            self._entries[party.id] = replace(party, index=index)
        return removed

    def everybody(self) -> tuple[Admission, ...]:
        """Return all admissions, in their order."""
        return tuple(self._entries.values())

    def key_owner(self, request: EnrolmentRequest) -> str | None:
        """Return the other id, if any, under which one of a request's keys was admitted."""
        wanted, own = _keys(request), request.applicant.id
        others = (entry for entry in self._entries.values() if entry.id != own)
        return next((entry.id for entry in others if wanted & _keys(entry.request)), None)

    def to_bytes(self) -> bytes:
        """Return the canonical bytes."""
        entries: list[Any] = [
            {
                "request": entry.request.to_document(),
                "certificate": entry.certificate.decode("ascii"),
                "index": entry.index,
            }
            for entry in self._entries.values()
        ]
        return document.encode({"format": _FORMAT, "version": _VERSION, "entries": entries})

    @classmethod
    def from_bytes(cls, data: bytes) -> Register:
        """Parse; raises ``PeerError``."""
        value = document.decode(data, "the register", maximum=ADMISSIONS_BYTES)
        fields = Fields.of_file(value, "the register", _FORMAT, _VERSION, ("entries",))
        return cls([_entry(value) for value in fields.items("entries", maximum=_MAX_ENTRIES)])


def load_register(home: FederationHome) -> Register:
    """Read who was admitted; raises ``KeyFileError`` if the record is damaged."""
    if not home.register_path.is_file():
        return Register()
    data = read_bytes(home.register_path, "the register", maximum=ADMISSIONS_BYTES)
    try:
        return Register.from_bytes(data)
    except PeerError as cause:
        raise KeyFileError(f"{home.register_path} is damaged: {cause.message}") from cause


def _keys(request: EnrolmentRequest) -> set[bytes]:
    applicant = request.applicant
    signing = {applicant.verify_key.encoded} if applicant.verify_key else set()
    sealing = {applicant.sealing_key} if applicant.sealing_key else set()
    return {requested_key(request.certificate_request), *signing, *sealing}


def _entry(value: Any) -> Admission:
    fields = Fields(value, "an admission", ("request", "certificate", "index"))
    return Admission(
        request=EnrolmentRequest.from_document(fields.value("request")),
        certificate=fields.text("certificate", longest=CERTIFICATE_LONGEST).encode("utf-8"),
        index=fields.integer("index", minimum=0, maximum=MAX_PARTIES),
    )
