# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""``coterie parties``: list the parties of the federation and their connections."""

from __future__ import annotations

from coterie.cli.options import DEFAULT_CREDENTIAL, AggregatorAddress, AsJson, CredentialFolder, open_client


def parties(
    aggregator: AggregatorAddress = None, credential: CredentialFolder = DEFAULT_CREDENTIAL, as_json: AsJson = False
) -> None:
    """List the parties and their connection state."""
    from coterie_common.host.listing import moment, print_json, print_table

    with open_client(aggregator, credential) as client:
        statuses = client.parties()
    if as_json:
        return print_json(statuses)
    rows = [
        (str(party.index), party.party_id, "connected" if party.connected else "away", moment(party.since))
        for party in statuses
    ]
    return print_table(("index", "party", "state", "since"), rows, empty="The roster has no parties.")
