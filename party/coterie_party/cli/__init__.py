# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The party's command line. Commands import what they need when they run, so that ``--help`` answers at once."""

from __future__ import annotations

from coterie_common.host.console import Program
from coterie_party.cli import audit, data, keys, ledger
from coterie_party.cli.health import health
from coterie_party.cli.init import init
from coterie_party.cli.jobs import approve, jobs, refuse
from coterie_party.cli.join import join
from coterie_party.cli.run import run

main = Program("coterie-party", "Take part in a federation: make own keys, import the bundle, run the party.")
main.app.command("init")(init)
main.app.command("join")(join)
main.app.command("run")(run)
main.app.command("health")(health)
main.app.command("jobs")(jobs)
main.app.command("approve")(approve)
main.app.command("refuse")(refuse)
main.app.add_typer(ledger.app, name="ledger")
main.app.add_typer(data.app, name="data")
main.app.add_typer(keys.app, name="keys")
main.app.add_typer(audit.app, name="audit")
