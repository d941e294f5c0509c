# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""``coterie admit``: admit members and people to a federation, once their fingerprints have been compared."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from coterie.cli.options import FederationFolder, PasswordFile, confirm
from coterie_common.host.console import say

if TYPE_CHECKING:
    from collections.abc import Sequence

    from coterie.founding.home import FederationHome
    from coterie_common.membership.enrolment import EnrolmentRequest


def admit(
    requests: Annotated[
        list[Path] | None, typer.Argument(metavar="REQUEST...", help="Request files, such as hospital-1.request.")
    ] = None,
    role: Annotated[
        str | None, typer.Option(help="Role to admit them to: party, aggregator, operator or scientist.")
    ] = None,
    show: Annotated[
        bool, typer.Option("--show", help="Only show the requests, with their fingerprints or phrases.")
    ] = False,
    expect_phrase: Annotated[
        list[str] | None,
        typer.Option(metavar="PHRASE", help="Phrase that an applicant read out; repeat it for each who was invited."),
    ] = None,
    expect: Annotated[
        list[str] | None,
        typer.Option(metavar="FINGERPRINT", help="Fingerprint that an applicant read out; repeat it for each request."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask: fingerprints or phrases have been compared.")] = False,
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace the keys of an id that is already admitted.")
    ] = False,
    undo: Annotated[
        str | None, typer.Option(metavar="ID", help="Forget an admission that has not been dealt a key yet.")
    ] = None,
    home: FederationFolder = Path("federation"),
    password_file: PasswordFile = None,
) -> None:
    """Admit requests, all or none: check them, issue certificates, number the parties.

    Of files, the fingerprints are shown. Without files, it lists everybody who joined by invitation, with the phrase
    that the applicant sees. Compare them; --expect and --expect-phrase compare those read out. Parties are numbered in
    the order of the files, or of the invitations.
    """
    from coterie.cli.founding.waiting import admit_waiting
    from coterie.credential_folder import PEOPLE
    from coterie.founding.admission import admit as admit_requests
    from coterie.founding.credentials import credential_path
    from coterie.founding.home import FederationHome
    from coterie.founding.invitations import load_invitations
    from coterie_common.clock import SystemClock
    from coterie_common.crypto.certificates import Role
    from coterie_common.errors import ConfigurationError
    from coterie_common.fingerprint import printed_fingerprint
    from coterie_common.host.passwords import read_password
    from coterie_common.membership.enrolment import read_request
    from coterie_common.membership.invitations.phrase import parse_phrase

    folder = FederationHome(home)
    if undo is not None:
        return _undo(folder, undo, has_requests=bool(requests))
    if not requests:
        if load_invitations(folder) is None or expect or role:
            raise ConfigurationError("name the request files that are to be admitted, such as hospital-1.request")
        phrases = [parse_phrase(phrase) for phrase in expect_phrase] if expect_phrase else None
        password = read_password(password_file, what="the founder's keys")
        return admit_waiting(folder, password, phrases=phrases, yes=yes, replace=replace, show=show)
    if expect_phrase:
        raise ConfigurationError("--expect-phrase is for those who were invited; files have fingerprints: --expect")
    if show:
        return _show([read_request(path) for path in requests])
    try:
        wanted = Role(role or "")
    except ValueError as cause:
        raise ConfigurationError(f"--role must be one of {', '.join(Role)}, not {role or 'missing'}") from cause
    folder.record()
    read = [read_request(path) for path in requests]
    _compare(folder, read, expect or [], yes=yes)
    outcome = admit_requests(
        folder,
        read,
        wanted,
        ask_password=lambda: read_password(password_file, what="the founder's keys"),
        now=SystemClock().now(),
        replace=replace,
    )
    for entry in outcome:
        admission = entry.admission
        index = f" with index {admission.index}" if admission.index else ""
        state = "is admitted" if entry.is_new else "was admitted before"
        shown = printed_fingerprint(admission.request.fingerprint)
        say(f"{admission.id} {state} as {wanted.value}{index}; request {shown}")
        if wanted in PEOPLE:
            say(f"  hand over {credential_path(folder, admission.id)}")
    if replace and folder.latest_epoch() and wanted not in PEOPLE:
        say("The new keys count from the next key epoch: coterie keys deal --new-epoch")
    return None


def _show(requests: Sequence[EnrolmentRequest]) -> None:
    from coterie_common.fingerprint import printed_fingerprint

    for request in requests:
        applicant = request.applicant
        names = f" at {', '.join(applicant.names)}" if applicant.names else ""
        fingerprint = printed_fingerprint(request.fingerprint)
        say(f"{applicant.id} asks to be admitted as {applicant.role.value}{names}; request {fingerprint}")


def _compare(folder: FederationHome, requests: Sequence[EnrolmentRequest], expect: list[str], *, yes: bool) -> None:
    """Require that the fingerprints of new requests are compared before anything is signed."""
    from coterie.founding.register import load_register
    from coterie_common.errors import ConfigurationError
    from coterie_common.fingerprint import parse_fingerprint, printed_fingerprint

    register = load_register(folder)
    known = {entry.request for entry in register.everybody()}
    if expect:
        expected = {parse_fingerprint(text) for text in expect}
        found = {request.fingerprint: request.applicant.id for request in requests}
        for fingerprint, applicant in found.items():
            if fingerprint not in expected:
                raise ConfigurationError(
                    f"the request of {applicant} has the fingerprint {printed_fingerprint(fingerprint)}, which "
                    "--expect does not name; nobody was admitted"
                )
        if unmet := expected - found.keys():
            raise ConfigurationError(
                f"no request has the fingerprint {', '.join(map(printed_fingerprint, sorted(unmet)))} of --expect; "
                "nobody was admitted"
            )
        return
    new = [request for request in requests if request not in known]
    if new:
        _show(new)
        confirm(
            "Did each applicant read out the same fingerprint?",
            yes=yes,
            otherwise="--expect FINGERPRINT compares the one read out, --yes states that it was compared",
        )


def _undo(folder: FederationHome, member: str, *, has_requests: bool) -> None:
    from coterie.founding.leaving import undo_admission
    from coterie_common.errors import ConfigurationError
    from coterie_common.identifiers import parse_member_id

    if has_requests:
        raise ConfigurationError("--undo takes one id and no request files")
    admission = undo_admission(folder, parse_member_id(member))
    say(f"The admission of the {admission.role.value} {admission.id} is undone; its id and its place are free.")
