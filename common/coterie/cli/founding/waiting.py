# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The founder's side of joining by invitation: who waits at the aggregator, admitting them, publishing for them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from coterie.cli.options import confirm
from coterie_common.host.console import say

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from coterie.founding.home import FederationHome, FounderKeys
    from coterie.founding.reception import Applications, Phrased
    from coterie_common.membership.invitations.application import Application
    from coterie_common.rpc.enrolment.client import Session
    from coterie_common.secret import Password


def open_session(folder: FederationHome) -> AbstractContextManager[Session]:
    """Open a session with the desk that the invitations name; raises ``WrongOrderError`` if nobody was invited."""
    from coterie.founding.reception import require_invitations
    from coterie_common.randomness import OsRandom
    from coterie_common.rpc.enrolment.client import open_desk

    return open_desk(require_invitations(folder).address, folder.record().founder_key, OsRandom())


def admit_waiting(
    folder: FederationHome, password: Password, *, phrases: Sequence[str] | None, yes: bool, replace: bool, show: bool
) -> None:
    """List who waits, have the phrases compared, admit, and publish what there is for everybody.

    Args:
        folder: the founder's.
        password: of its keys.
        phrases: those that were read out, canonical; ``None``: ask.
        yes: do not ask: they have been compared.
        replace: also those whose id was admitted with other keys.
        show: only list.

    Raises:
        ConfigurationError: a phrase that is no request's, or there is no terminal to ask on.
        CoterieError: of the aggregator.
    """
    from coterie.founding.reception import check_applications, choose, with_phrases
    from coterie_common.clock import SystemClock

    record = folder.record()
    keys = folder.unlock_keys(record, password)
    with open_session(folder) as session:
        found = session.kept(keys.signing_key)
    applications = check_applications(folder, found, now=SystemClock().now(), replace=replace)
    waiting = with_phrases(applications)
    chosen = choose(waiting, None if show else phrases)
    _explain(applications, waiting)
    if show or phrases is None:
        _list(chosen)
    if show:
        return
    if chosen and phrases is None:
        confirm(
            "Did each applicant read out the same phrase, by telephone or in person?",
            yes=yes,
            otherwise="--expect-phrase PHRASE compares the one read out, --yes states that it was compared",
        )
    _admit(folder, [entry.application for entry in chosen], password, replace=replace)
    if not waiting:
        say("Nobody waits.")
    publish(folder, keys)


def publish(folder: FederationHome, keys: FounderKeys) -> dict[str, list[str]]:
    """Publish what there is for everybody who was admitted; return the kinds of documents at the desk by id."""
    from coterie.founding.reception import publish_everything
    from coterie_common.clock import SystemClock

    with open_session(folder) as session:
        published = publish_everything(folder, session, keys, now=SystemClock().now())
    kinds: dict[str, list[str]] = {}
    news: dict[str, list[str]] = {}
    for entry in published:
        kinds.setdefault(entry.id, []).append(entry.kind.value)
        if entry.is_new:
            news.setdefault(entry.id, []).append(entry.kind.value)
    for member, documents in news.items():
        say(f"Published for {member}: {' and '.join(documents)}")
    return kinds


def _admit(folder: FederationHome, chosen: Sequence[Application], password: Password, *, replace: bool) -> None:
    from coterie.credential_folder import PEOPLE
    from coterie.founding.admission import admit
    from coterie_common.clock import SystemClock

    for role in dict.fromkeys(application.invitation.role for application in chosen):
        requests = [application.request for application in chosen if application.invitation.role is role]
        outcome = admit(folder, requests, role, ask_password=lambda: password, now=SystemClock().now(), replace=replace)
        for entry in outcome:
            index = f" with index {entry.admission.index}" if entry.admission.index else ""
            say(f"{entry.admission.id} is admitted as {role.value}{index}.")
        if replace and folder.latest_epoch() and role not in PEOPLE:
            say("The new keys count from the next key epoch: coterie keys deal --new-epoch")


def _list(chosen: Sequence[Phrased]) -> None:
    for entry in chosen:
        applicant = entry.application.request.applicant
        names = f" at {', '.join(applicant.names)}" if applicant.names else ""
        say(f"{applicant.id} asks to be admitted as {applicant.role.value}{names}; phrase: {entry.phrase}")


def _explain(applications: Applications, waiting: Sequence[Phrased]) -> None:
    """Say what is not offered for admission, and why."""
    from coterie.founding.reception import rivals

    for member in sorted(rivals(waiting)):
        phrases = [entry.phrase for entry in waiting if entry.id == member]
        say(
            f"WARNING: {len(phrases)} requests came with the token of {member}: it is in two hands. Their phrases are "
            f"{' and '.join(phrases)}. Nobody is admitted under this id unless --expect-phrase names the phrase that "
            f"its owner reads out; 'coterie invite {member} --renew' makes a new token.",
            err=True,
        )
    for application in applications.taken:
        member = application.invitation.id
        say(
            f"{member} is admitted already, and another request asks for its id. It stays out: only if {member} itself "
            "made new keys, --replace offers them, with their phrase.",
            err=True,
        )
    for application in applications.expired:
        member = application.invitation.id
        say(f"The invitation of {member} has expired; 'coterie invite {member} --renew' makes a new one.", err=True)
    if applications.ignored:
        say(f"Left out: {applications.ignored} that prove nothing or whose token was renewed.", err=True)
