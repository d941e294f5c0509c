# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""``coterie admit``: admit members and people to a federation."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from coterie.cli.options import FederationFolder, PasswordFile
from coterie_common.console import say


def admit(
    requests: Annotated[
        list[Path], typer.Argument(metavar="REQUEST...", help="Request files, such as hospital-1.csr.")
    ],
    role: Annotated[str, typer.Option(help="What they are admitted as: party, aggregator, operator or scientist.")],
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace the keys of an id that is already admitted.")
    ] = False,
    home: FederationFolder = Path("federation"),
    password_file: PasswordFile = None,
) -> None:
    """Admit requests, all or none: check them, issue certificates, give parties their indices in the order given.

    Compare the fingerprint that is printed with what the applicant sees.
    """
    from coterie.credential_folder import PEOPLE
    from coterie.founding.admission import admit as admit_requests
    from coterie.founding.credentials import credential_path
    from coterie.founding.home import FederationHome
    from coterie_common.clock import SystemClock
    from coterie_common.crypto.certificates import Role
    from coterie_common.enrolment import read_request
    from coterie_common.errors import ConfigurationError
    from coterie_common.passwords import read_password

    try:
        wanted = Role(role)
    except ValueError as cause:
        raise ConfigurationError(f"--role must be one of {', '.join(Role)}, not {role!r}") from cause
    folder = FederationHome(home)
    folder.record()
    outcome = admit_requests(
        folder,
        [read_request(path) for path in requests],
        wanted,
        ask_password=lambda: read_password(password_file, what="the founder's keys"),
        now=SystemClock().now(),
        replace=replace,
    )
    for entry in outcome:
        admission = entry.admission
        index = f" with index {admission.index}" if admission.index else ""
        state = "is admitted" if entry.is_new else "was admitted before"
        say(f"{admission.id} {state} as {wanted.value}{index}; request {admission.request.fingerprint}")
        if wanted in PEOPLE:
            say(f"  hand over {credential_path(folder, admission.id)}")
    if replace and folder.latest_epoch() and wanted not in PEOPLE:
        say("The new keys count from the next key epoch: coterie keys deal --new-epoch")
