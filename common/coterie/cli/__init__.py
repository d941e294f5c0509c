# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The command line for people. Commands import what they need when they run, so that ``--help`` answers at once."""

from __future__ import annotations

from coterie.cli import audit, credential, jobs, models, schema
from coterie.cli.budget import budget
from coterie.cli.founding import keys
from coterie.cli.founding.admit import admit
from coterie.cli.founding.found import found
from coterie.cli.founding.invite import invite
from coterie.cli.founding.members import expel, members
from coterie.cli.join import join
from coterie.cli.parties import parties
from coterie.cli.predict import predict
from coterie.cli.simulate import simulate
from coterie_common.host.console import Program

main = Program("coterie", "Found a federation, admit its members, deal its keys, submit and watch jobs.")
main.app.command("found")(found)
main.app.command("invite")(invite)
main.app.command("admit")(admit)
main.app.command("members")(members)
main.app.command("expel")(expel)
main.app.add_typer(keys.app, name="keys")
main.app.command("join")(join)
main.app.add_typer(credential.app, name="credential")
main.app.command("parties")(parties)
main.app.add_typer(jobs.app, name="jobs")
main.app.command("budget")(budget)
main.app.add_typer(models.app, name="models")
main.app.command("predict")(predict)
main.app.command("simulate")(simulate)
main.app.add_typer(schema.app, name="schema")
main.app.add_typer(audit.app, name="audit")
