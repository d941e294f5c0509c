# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""``coterie budget``: upper bounds on the privacy cost of jobs to each data set, for orientation."""

from __future__ import annotations

from coterie.cli.options import DEFAULT_CREDENTIAL, AggregatorAddress, AsJson, CredentialFolder, open_client
from coterie_common.host.console import say


def budget(
    aggregator: AggregatorAddress = None, credential: CredentialFolder = DEFAULT_CREDENTIAL, as_json: AsJson = False
) -> None:
    """Add up the promised privacy cost of jobs per data set. Informative only: each party decides by its own ledger."""
    from coterie.spending import spending
    from coterie_common.host.listing import print_json, print_table

    with open_client(aggregator, credential) as client:
        found = spending(client.jobs())
    if as_json:
        return print_json(found)
    rows = [
        (
            use.dataset,
            use.unit,
            str(use.completed),
            str(use.others),
            f"∞, {use.without_noise} without noise" if use.without_noise else f"ε ≤ {use.epsilon} at δ ≤ {use.delta}",
        )
        for use in found
    ]
    columns = ("data set", "per", "completed", "others that asked", "together")
    print_table(columns, rows, empty="No job asked anything yet.")
    return say("Informative only: ε and δ are just added up; each party's own ledger decides, and is tighter.")
