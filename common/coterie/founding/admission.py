# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Admitting members: the founder checks a request, issues a certificate, and gives a party its index.

Invariants:
- Parties have the indices 1..k in the order of their admission; no id and no key is admitted twice.
- All requests of one call are admitted, or none.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Final

from coterie.credential_folder import PEOPLE
from coterie.founding.credentials import refresh_credentials
from coterie.founding.home import FederationHome, FederationRecord, FounderKeys
from coterie.founding.register import Admission, Register, load_register
from coterie_common.crypto.authority import issue
from coterie_common.crypto.certificates import Identity, Role, expires_at
from coterie_common.errors import ConfigurationError
from coterie_common.files import write_atomically
from coterie_common.membership.enrolment import EnrolmentRequest
from coterie_common.secret import Password

_PERSON_LIFETIME: Final = timedelta(days=730)
"""People come and go, and no roster names them, so their certificates must expire."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Admitted:
    """The outcome of admitting one request; ``is_new`` is false if it had been admitted before."""

    admission: Admission
    is_new: bool


def admit(
    home: FederationHome,
    requests: Sequence[EnrolmentRequest],
    role: Role,
    *,
    ask_password: Callable[[], Password],
    now: datetime,
    replace: bool = False,
) -> tuple[Admitted, ...]:
    """Admit requests, all or none.

    Args:
        home: the founder's folder.
        requests: checked requests; one that was admitted before is left as it is.
        role: the role to admit them to; each request must ask for the same.
        ask_password: called once, only if something is to be signed.
        now: start of the certificates.
        replace: an id that was admitted with other keys gets these instead; a party keeps its index. Members
            change over with the next key epoch.

    Raises:
        WrongOrderError: no federation was founded here.
        ConfigurationError: another role, id or keys taken, no place left.
        KeyFileError: wrong password, or a damaged file.
    """
    with home.locked():
        record, register = home.record(), load_register(home)
        unlock = cache(lambda: home.unlock_keys(record, ask_password()))
        outcome = []
        for request in requests:
            known = register.find(request.applicant.id)
            if known is not None and known.request == request and known.role is role:
                outcome.append(Admitted(admission=known, is_new=False))
                continue
            index = _place(record, register, request, role, replace=replace)
            admission = Admission(request=request, certificate=_issue(record, unlock(), request, now=now), index=index)
            register.put(admission)
            outcome.append(Admitted(admission=admission, is_new=True))
        if any(entry.is_new for entry in outcome):
            write_atomically(home.register_path, register.to_bytes())
        if role in PEOPLE:
            refresh_credentials(home, register, unlock, now=now)
        return tuple(outcome)


def _place(
    record: FederationRecord, register: Register, request: EnrolmentRequest, role: Role, *, replace: bool
) -> int:
    """Return the index that a new admission gets, or refuse it."""
    applicant = request.applicant
    if applicant.role is not role:
        raise ConfigurationError(f"{applicant.id} asks to be admitted as {applicant.role.value}, not as {role.value}")
    known = register.find(applicant.id)
    if known is not None and (known.role is not role or not replace):
        remedy = "; --replace admits the new keys instead" if known.role is role else ""
        raise ConfigurationError(f"the id {applicant.id} is already admitted as {known.role.value}{remedy}")
    owner = register.key_owner(request)
    if owner is not None:
        raise ConfigurationError(f"a key in the request of {applicant.id} is already admitted under the id {owner}")
    if known is not None:
        return known.index
    if role is Role.AGGREGATOR and register.with_role(role):
        raise ConfigurationError(
            f"a federation has one aggregator, and {register.with_role(role)[0].id} is already admitted"
        )
    if role is not Role.PARTY:
        return 0
    taken = len(register.with_role(role))
    if taken >= record.parameters.parties:
        raise ConfigurationError(
            f"the federation {record.federation} was founded for {record.parameters.parties} parties, "
            f"and all of them are admitted; there is no place for {applicant.id}"
        )
    return taken + 1


def _issue(record: FederationRecord, keys: FounderKeys, request: EnrolmentRequest, *, now: datetime) -> bytes:
    applicant, end = request.applicant, expires_at(record.authority)
    return issue(
        keys.authority,
        request.certificate_request,
        Identity(federation=record.federation, role=applicant.role, id=applicant.id),
        host_names=applicant.names,
        now=now,
        until=min(end, now + _PERSON_LIFETIME) if applicant.role in PEOPLE else end,
    )
