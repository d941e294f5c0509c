# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""``coterie models``: list, show and fetch finished models."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from coterie.cli.options import DEFAULT_CREDENTIAL, AggregatorAddress, AsJson, CredentialFolder, open_client, put_out
from coterie_common.host.console import say, say_json

if TYPE_CHECKING:
    from coterie_common.protocol.progress import ModelInfo

app = typer.Typer(help="List, show and fetch finished models.", no_args_is_help=True, pretty_exceptions_enable=False)


_Job = Annotated[str, typer.Argument(metavar="ID", help="The job that made the model.")]


@app.command("list")
def list_(
    aggregator: AggregatorAddress = None, credential: CredentialFolder = DEFAULT_CREDENTIAL, as_json: AsJson = False
) -> None:
    """List all finished models, oldest first."""
    from coterie_common.host.listing import moment, print_json, print_table

    with open_client(aggregator, credential) as client:
        infos = client.models()
    if as_json:
        return print_json(infos)
    rows = [
        (
            info.job_id,
            info.algorithm,
            _rounds(info),
            f"ε = {info.privacy.epsilon}",
            f"{info.size_bytes:,}",
            moment(info.finished_at),
        )
        for info in infos
    ]
    columns = ("job", "algorithm", "rounds", "privacy", "bytes", "finished")
    return print_table(columns, rows, empty="There are no models yet.")


def _rounds(info: ModelInfo) -> str:
    from coterie_common.protocol.progress import JobState

    if info.state in (JobState.FAILED, JobState.CANCELLED):
        return f"{info.rounds} of {info.rounds_planned}, {info.state.value}: unfinished"
    return str(info.rounds)


@app.command()
def show(
    job: _Job,
    aggregator: AggregatorAddress = None,
    credential: CredentialFolder = DEFAULT_CREDENTIAL,
    as_json: AsJson = False,
) -> None:
    """Show a model: what it predicts from which columns, its promise, and the rounds that it comes from."""
    from coterie.model_view import facts
    from coterie_common.host.listing import print_facts
    from coterie_common.identifiers import parse_job_id
    from coterie_common.learning.model import Model

    with open_client(aggregator, credential) as client:
        data = client.fetch(parse_job_id(job))
    shown = facts(Model.from_bytes(data))
    if as_json:
        return say_json(dict(shown))
    return print_facts(shown)


@app.command()
def fetch(
    job: _Job,
    aggregator: AggregatorAddress = None,
    credential: CredentialFolder = DEFAULT_CREDENTIAL,
    out: Annotated[
        Path | None,
        typer.Option(
            help="File to write; by default ID.json or ID.safetensors, or ID.unfinished.… for an unfinished model. "
            "With - the model goes to standard output."
        ),
    ] = None,
) -> None:
    """Fetch a model's file; an existing file is replaced only by a complete model."""
    from coterie_common.identifiers import parse_job_id
    from coterie_common.learning.model import Model

    job_id = parse_job_id(job)
    with open_client(aggregator, credential) as client:
        data = client.fetch(job_id)
    model = Model.from_bytes(data)
    lineage = model.lineage
    # Parties keep the model under the same name.
    path = out or Path(f"{job_id}{model.suffix}")
    note = f"{lineage.promise}, {lineage.words}"
    if put_out(path, data):
        say(f"{path}: {note}")
    else:
        say(f"{job_id}: {note}", err=True)
