# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Revoking admissions: undoing one that has no key yet, and expelling a member.

Invariants:
- A party that holds a key share stays in the roster until keys are dealt anew: only then does an expulsion take effect.
- Parties keep the order of their admission; their indices in a new epoch are again 1 to n.
- The parameters of a smaller federation are checked as if it were founded with them, before anything is written.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from coterie.credential_folder import PEOPLE
from coterie.founding.credentials import FOUNDERS_OPERATOR, credential_path
from coterie.founding.home import FederationHome
from coterie.founding.register import Admission, Register, load_register
from coterie_common.crypto.certificates import Role, expires_at, fingerprint
from coterie_common.errors import ConfigurationError
from coterie_common.files import write_atomically
from coterie_common.identifiers import MemberId
from coterie_common.protocol.parameters import FederationParameters, choose_parameters
from coterie_common.protocol.roster.members import Member


class Standing(StrEnum):
    """The standing of an admission."""

    WAITS_FOR_KEYS = "admitted, waits for the next epoch"
    IN_FORCE = "in the roster"
    EXPELLED = "expelled, in force until the next epoch"
    CERTIFIED = "has a certificate"


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberEntry:
    """One line of the list of members.

    Attributes:
        id: of the member or person.
        role: admitted to.
        index: of a party's key share, in the newest roster or else in the next; 0 for everybody else.
        request: canonical fingerprint of its request; empty for a party that was expelled.
        standing: of its admission.
        until: end of the certificate; ``None`` for a party that was expelled.
    """

    id: str
    role: Role
    index: int
    request: str
    standing: Standing
    until: datetime | None


def members(home: FederationHome) -> tuple[MemberEntry, ...]:
    """List everybody: parties by index, then the aggregator, operators and scientists.

    Raises:
        WrongOrderError: no federation was founded here.
        KeyFileError: a file is damaged.
    """
    home.record()
    register = load_register(home)
    entries = [_entry(home, entry) for entry in register.with_role(Role.PARTY, Role.AGGREGATOR, *PEOPLE)]
    entries += [
        MemberEntry(
            id=member.party_id, role=Role.PARTY, index=member.index, request="", standing=Standing.EXPELLED, until=None
        )
        for member in _in_force(home).values()
        if register.find(member.party_id) is None
    ]
    order = [Role.PARTY, Role.AGGREGATOR, *PEOPLE]
    return tuple(sorted(entries, key=lambda entry: (order.index(entry.role), entry.index, entry.id)))


def undo_admission(home: FederationHome, member_id: MemberId) -> Admission:
    """Forget the admission of a party or aggregator to which no key was dealt; its id and place are free again.

    Raises:
        WrongOrderError: no federation was founded here.
        ConfigurationError: nobody of that id is admitted, or it has a key or a certificate already.
    """
    with home.locked():
        register = load_register(home)
        admission = _find(register, member_id)
        if admission.role in PEOPLE:
            raise ConfigurationError(
                f"the {admission.role.value} {member_id} has a certificate since it was admitted, which cannot be "
                f"taken back: 'coterie expel {member_id}' shows the alternative"
            )
        if _has_key(home, member_id, admission.role):
            raise ConfigurationError(
                f"{member_id} is in the roster of epoch {home.latest_epoch()}: its admission cannot be undone; "
                + (
                    f"'coterie expel {member_id}' deals it out of the next epoch"
                    if admission.role is Role.PARTY
                    else "admit other keys for it with --replace"
                )
            )
        register.remove(member_id)
        write_atomically(home.register_path, register.to_bytes())
        return admission


def smaller_parameters(
    now: FederationParameters,
    *,
    corruption_bound: int | None = None,
    decryption_threshold: int | None = None,
    quorum: int | None = None,
) -> FederationParameters:
    """Return the parameters of a federation with one party fewer.

    The corruption bound and the number of parties that may be down stay as before, unless that is inconsistent or
    another number is given.

    Raises:
        ConfigurationError: no choice of the open numbers is consistent; the message names the failed condition.
    """
    bound = now.corruption_bound if corruption_bound is None else corruption_bound
    given = {"decryption_threshold": decryption_threshold, "quorum": quorum}
    before = {"decryption_threshold": now.decryption_threshold - 1, "quorum": now.quorum - 1}
    kept = {name: before[name] if value is None else value for name, value in given.items()}
    try:
        return FederationParameters(
            parties=now.parties - 1,
            key_holders=now.parties - 1,
            corruption_bound=bound,
            holder_corruption_bound=bound,
            aggregator_trust=now.aggregator_trust,
            **kept,
        )
    except ConfigurationError:
        return choose_parameters(
            now.parties - 1, corruption_bound=bound, aggregator_trust=now.aggregator_trust, **given
        )


def expel_party(home: FederationHome, member_id: MemberId, parameters: FederationParameters) -> Admission:
    """Expel a party: from the next epoch on, the federation has these parameters and the party has no share.

    Args:
        home: the founder's folder.
        member_id: the party's id.
        parameters: from ``smaller_parameters``.

    Raises:
        WrongOrderError: no federation was founded here.
        ConfigurationError: there is no such party, or the parameters are for another number of parties.
    """
    with home.locked():
        record, register = home.record(), load_register(home)
        admission = _find(register, member_id)
        if admission.role is not Role.PARTY or parameters.parties != record.parameters.parties - 1:
            raise ConfigurationError(f"{member_id} is no party of a federation of {parameters.parties + 1}")
        register.remove(member_id)
        # A crash in between leaves one place free: keys are not dealt, and the command may be repeated.
        write_atomically(home.register_path, register.to_bytes())
        write_atomically(home.record_path, replace(record, parameters=parameters).to_bytes())
        return admission


def expel_person(home: FederationHome, member_id: MemberId) -> Admission:
    """Forget an operator or scientist: no further credential is issued. The certificate stays valid until it expires.

    Raises:
        WrongOrderError: no federation was founded here.
        ConfigurationError: there is no such person, or it is the founder's own operator.
    """
    with home.locked():
        register = load_register(home)
        admission = _find(register, member_id)
        if admission.role not in PEOPLE or member_id == FOUNDERS_OPERATOR:
            raise ConfigurationError(f"{member_id} is no operator or scientist that can be expelled")
        register.remove(member_id)
        write_atomically(home.register_path, register.to_bytes())
        credential_path(home, member_id).unlink(missing_ok=True)
        return admission


def admission_of(home: FederationHome, member_id: MemberId) -> Admission:
    """Return an admission; raises ``ConfigurationError`` if there is none of that id."""
    return _find(load_register(home), member_id)


def _find(register: Register, member_id: str) -> Admission:
    admission = register.find(member_id)
    if admission is None:
        raise ConfigurationError(f"nobody with the id {member_id} is admitted; 'coterie members' lists who is")
    return admission


def _in_force(home: FederationHome) -> dict[str, Member]:
    signed = home.latest_roster()
    return {member.party_id: member for member in signed.roster.members} if signed else {}


def _has_key(home: FederationHome, member_id: str, role: Role) -> bool:
    signed = home.latest_roster()
    if signed is None:
        return False
    return member_id in _in_force(home) if role is Role.PARTY else signed.roster.aggregator.id == member_id


def _entry(home: FederationHome, admission: Admission) -> MemberEntry:
    member = _in_force(home).get(admission.id)
    signed = home.latest_roster()
    certificates = [member.certificate_fingerprint] if member else []
    if signed is not None and admission.role is Role.AGGREGATOR:
        certificates = [signed.roster.aggregator.certificate_fingerprint]
    if admission.role in PEOPLE:
        standing = Standing.CERTIFIED
    else:
        is_in_force = fingerprint(admission.certificate) in certificates
        standing = Standing.IN_FORCE if is_in_force else Standing.WAITS_FOR_KEYS
    return MemberEntry(
        id=admission.id,
        role=admission.role,
        index=member.index if member else admission.index,
        request=admission.request.fingerprint,
        standing=standing,
        until=expires_at(admission.certificate),
    )
