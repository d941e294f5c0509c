# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""``coterie jobs``: submit, list, show, watch and cancel jobs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from coterie.cli.options import DEFAULT_CREDENTIAL, AggregatorAddress, AsJson, CredentialFolder, confirm, open_client
from coterie_common.host.console import say

if TYPE_CHECKING:
    from coterie.client import Client
    from coterie_common.identifiers import JobId

app = typer.Typer(
    help="Submit, list, show, watch and cancel jobs.", no_args_is_help=True, pretty_exceptions_enable=False
)

_Job = Annotated[str, typer.Argument(metavar="ID", help="The job, as 'coterie jobs list' shows it.")]


@app.command()
def submit(
    file: Annotated[Path, typer.Argument(metavar="JOB.toml", help="The job specification.")],
    aggregator: AggregatorAddress = None,
    credential: CredentialFolder = DEFAULT_CREDENTIAL,
    watch: Annotated[bool, typer.Option("--watch", help="Follow the job until it is over.")] = False,
    despite_noise: Annotated[
        bool, typer.Option("--despite-noise", help="Submit the job even if noise drowns its result.")
    ] = False,
    again: Annotated[
        bool,
        typer.Option("--again", help="Submit the job even if one with the same specification was submitted before."),
    ] = False,
) -> None:
    """Submit a job and print its id. The model file that an evaluation names becomes part of the job.

    A job whose noise exceeds the largest sum its records can reach is not submitted; the numbers are shown.
    """
    from coterie.job_file import read_job
    from coterie_common.errors import AlreadySubmitted

    spec = read_job(file)
    with open_client(aggregator, credential) as client:
        try:
            job_id = client.submit(spec.to_bytes(), despite_noise=despite_noise, again=again)
        except AlreadySubmitted as earlier:
            if not sys.stdin.isatty():
                raise
            say(earlier.message, err=True)
            confirm("Submit it again?", yes=False)
            job_id = client.submit(spec.to_bytes(), despite_noise=despite_noise, again=True)
        say(job_id)
        if watch:
            _watch(client, job_id)


@app.command("list")
def list_(
    aggregator: AggregatorAddress = None, credential: CredentialFolder = DEFAULT_CREDENTIAL, as_json: AsJson = False
) -> None:
    """List all jobs, oldest first."""
    from coterie.progress_view import state_line
    from coterie_common.host.listing import moment, print_json, print_table

    with open_client(aggregator, credential) as client:
        statuses = client.jobs()
    if as_json:
        return print_json(statuses)
    rows = [
        (
            status.job_id,
            status.algorithm,
            f"ε = {status.privacy.epsilon}",
            moment(status.submitted_at),
            state_line(status),
        )
        for status in statuses
    ]
    return print_table(("job", "algorithm", "privacy", "submitted", "state"), rows, empty="There are no jobs yet.")


@app.command()
def show(
    job: _Job,
    aggregator: AggregatorAddress = None,
    credential: CredentialFolder = DEFAULT_CREDENTIAL,
    as_json: AsJson = False,
) -> None:
    """Show one job as it is now: its promise, its rounds, what each party did, and why it ended."""
    from coterie.progress_view import facts
    from coterie_common.clock import SystemClock
    from coterie_common.host.listing import print_facts, print_json
    from coterie_common.identifiers import parse_job_id

    with open_client(aggregator, credential) as client:
        status = next(client.watch(parse_job_id(job)))
    if as_json:
        return print_json((status,))
    return print_facts(facts(status, SystemClock().now()))


@app.command()
def watch(job: _Job, aggregator: AggregatorAddress = None, credential: CredentialFolder = DEFAULT_CREDENTIAL) -> None:
    """Follow a job until it is over; exit status 0 only if it completed."""
    from coterie_common.identifiers import parse_job_id

    job_id = parse_job_id(job)
    with open_client(aggregator, credential) as client:
        _watch(client, job_id)


@app.command()
def cancel(job: _Job, aggregator: AggregatorAddress = None, credential: CredentialFolder = DEFAULT_CREDENTIAL) -> None:
    """Cancel a job; scientists can cancel only their own.

    The cost of answered rounds stays spent at every party; the budget reserved for later rounds is given back. The
    model of the last released round is kept, marked as unfinished: 'coterie models fetch ID'.
    """
    from coterie_common.identifiers import parse_job_id
    from coterie_common.protocol.progress import JobState

    job_id = parse_job_id(job)
    with open_client(aggregator, credential) as client:
        client.cancel(job_id)
        status = next(client.watch(job_id))
    if status.state is JobState.CANCELLED:
        say(f"{job_id} is cancelled.")
    elif status.state.is_final:
        say(f"{job_id} was over before: {status.state.value}.")
    else:
        say(f"{job_id} is being cancelled; 'coterie jobs watch {job_id}' shows when it has ended.")


def _watch(client: Client, job_id: JobId) -> None:
    """Follow a job on the terminal and exit with 1 unless it completed."""
    from coterie.job_display import job_display
    from coterie.watching import follow
    from coterie_common.host.console import INTERRUPTED_STATUS
    from coterie_common.protocol.progress import JobState

    try:
        with job_display() as display:
            final = follow(client, job_id, show=display.show, lost=display.lost)
    except KeyboardInterrupt:
        say(f"The job goes on; 'coterie jobs watch {job_id}' shows it again.", err=True)
        raise typer.Exit(INTERRUPTED_STATUS) from None
    if final.state is not JobState.COMPLETED and final.round is not None:
        say(f"If a round was released, 'coterie models fetch {job_id}' has its model, marked as unfinished.", err=True)
    if final.state is not JobState.COMPLETED:
        raise typer.Exit(1)
