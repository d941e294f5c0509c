# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""``coterie-party run``: the daemon."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from coterie_party.cli.options import PartyFolder, PasswordFile


def run(
    home: PartyFolder = Path("party"),
    password_file: PasswordFile = None,
    log_format: Annotated[str, typer.Option(help="Lines for people (text) or machines (json).")] = "text",
    verbose: Annotated[bool, typer.Option("--verbose", help="Log more.")] = False,
) -> None:
    """Take part until SIGTERM or Ctrl-C: connect to the aggregator, decide on jobs, answer, help to open sums."""
    from coterie_party.training.confinement import forbid_tracing

    # Before there is a password or a key in memory.
    forbid_tracing()
    import asyncio

    from coterie_common.host.one_thread import keep_to_one_thread

    keep_to_one_thread()  # before anything loads NumPy
    from coterie_common.clock import SystemClock
    from coterie_common.host.passwords import read_password
    from coterie_common.host.telemetry import configure_logging, parse_format
    from coterie_party.app import run as run_forever
    from coterie_party.home.home import PartyHome, load_party_home

    configure_logging(parse_format(log_format), verbose=verbose)
    folder = PartyHome(home)
    folder.config()
    password = read_password(folder.password_file(password_file), what="this party's keys")
    membership = load_party_home(home, password, now=SystemClock().now())
    asyncio.run(run_forever(home, membership))
