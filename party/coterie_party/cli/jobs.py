# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""``coterie-party jobs``, ``approve`` and ``refuse``: the jobs proposed to this party and the steward's decisions."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from coterie_common.host.console import say, say_json
from coterie_party.cli.options import AsJson, PartyFolder
from coterie_party.cli.steward_view import StewardView, open_steward_view

if TYPE_CHECKING:
    from coterie_party.steward.job_report import JobReport
    from coterie_party.store import PartyJob

_Job = Annotated[str, typer.Argument(metavar="JOB", help="The job, as 'coterie-party jobs' shows it.")]


def jobs(
    job: Annotated[str | None, typer.Argument(metavar="JOB", help="Show this job in full.")] = None,
    home: PartyFolder = Path("party"),
    as_json: AsJson = False,
) -> None:
    """List the jobs that were proposed to this party, oldest first, in plain words; or show one in full."""
    from coterie_common.errors import NotFound
    from coterie_common.host.listing import moment, print_facts, print_table
    from coterie_common.identifiers import parse_job_id

    with open_steward_view(home) as view:
        if job is None:
            reports = [_describe(view, known, in_full=as_json) for known in view.store.jobs()]
        else:
            found = view.store.job(parse_job_id(job))
            if found is None:
                raise NotFound(f"no job {job} was proposed to this party")
            reports = [_describe(view, found, in_full=True)]
    if as_json:
        return say_json([report.to_document() for report in reports])
    if job is not None:
        return print_facts(tuple(reports[0].lines()))
    rows = [
        (
            report.job.job_id,
            report.asks,
            "-" if report.terms is None else str(len(report.terms.rounds)),
            report.privacy,
            moment(report.job.proposed_at),
            report.state,
            report.would_leave,
            report.reason,
        )
        for report in reports
    ]
    columns = ("job", "asks", "rounds", "privacy", "proposed", "state", "would leave", "because")
    print_table(columns, rows, empty="No job was proposed to this party yet.")
    if any(report.state == "held" for report in reports):
        say("Held jobs wait for 'coterie-party approve JOB' or 'coterie-party refuse JOB'.")
    return None


def approve(job: _Job, home: PartyFolder = Path("party")) -> None:
    """Let a held job start: policy and budget are checked again, and the aggregator is notified."""
    known = _rule(home, job, is_approved=True)
    say(f"{known.job_id} is approved. {_WHAT_FOLLOWS}")


def refuse(
    job: _Job,
    reason: Annotated[str, typer.Option(help="Why, in words that the aggregator and the job's owner will see.")] = "",
    home: PartyFolder = Path("party"),
) -> None:
    """Refuse a held job, or withdraw from a running one: nothing more is answered; past answers stay spent."""
    from coterie_common.protocol.acceptance import Decision

    known = _rule(home, job, is_approved=False, reason=reason)
    if known.decision is Decision.ACCEPTED:
        say(f"{known.job_id} gets no further answers. What was answered stays spent.")
    else:
        say(f"{known.job_id} is refused. {_WHAT_FOLLOWS}")


_WHAT_FOLLOWS = "A daemon that runs notices within seconds; else it does when it starts. See 'coterie-party jobs'."


def _rule(home: Path, job: str, *, is_approved: bool, reason: str = "") -> PartyJob:
    from coterie_common.identifiers import parse_job_id
    from coterie_common.protocol.reason import one_line

    job_id = parse_job_id(job)
    with open_steward_view(home) as view:
        return view.store.rule(job_id, is_approved=is_approved, reason=one_line(reason), now=view.now)


def _describe(view: StewardView, job: PartyJob, *, in_full: bool) -> JobReport:
    from coterie_party.steward.job_report import describe

    entries = view.store.ledger(job.dataset) if job.dataset else ()
    notes = view.notes.of_job(job.job_id)
    asked = view.store.asked_rounds(job.job_id) if in_full else ()
    return describe(job, view.store.ruling(job.job_id), entries, view.policy, view.now, notes, asked)
