# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""``coterie found``: found a federation."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from coterie.cli.options import FederationFolder, PasswordFile
from coterie_common.host.console import say


def found(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="Name of the federation: lower-case letters, digits, hyphens.")
    ],
    parties: Annotated[int, typer.Option(help="Number of parties, 3 to 200.")],
    corruption_bound: Annotated[
        int | None, typer.Option(help="Number of parties that may be corrupted; about a third by default.")
    ] = None,
    decryption_threshold: Annotated[
        int | None, typer.Option(help="Number of parties that open a sum; all but the corrupted ones by default.")
    ] = None,
    quorum: Annotated[
        int | None, typer.Option(help="Minimum number of replies in a sum; the decryption threshold by default.")
    ] = None,
    aggregator_trust: Annotated[
        str, typer.Option(help="'malicious', or 'honest-but-curious' to give up protection against a lying aggregator.")
    ] = "malicious",
    key_bits: Annotated[int, typer.Option(help="Size of the threshold key: 2048, 3072 or 4096.")] = 3072,
    aggregator: Annotated[
        str | None,
        typer.Option(
            metavar="HOST[:PORT]",
            help="Where the aggregator will receive applicants, by default at port 8444; prints its token.",
        ),
    ] = None,
    invite: Annotated[
        list[str] | None, typer.Option(metavar="ID", help="Print the token of a party; repeatable.")
    ] = None,
    home: FederationFolder = Path("federation"),
    password_file: PasswordFile = None,
) -> None:
    """Found a federation: its authority, its parameters, and an operator's credential.

    Prints the founder's fingerprint, which every party pins; with --aggregator also one-time tokens, by which members
    join without carrying files.
    """
    from functools import cache

    from coterie.cli.founding.invite import DEFAULT_DAYS, print_tokens
    from coterie.founding.founding import found as found_federation
    from coterie.founding.home import FederationHome
    from coterie_common.address import ENROLMENT_PORT, Address
    from coterie_common.clock import SystemClock
    from coterie_common.crypto.certificates import Role
    from coterie_common.errors import ConfigurationError
    from coterie_common.fingerprint import printed_fingerprint
    from coterie_common.host.passwords import read_password
    from coterie_common.identifiers import parse_federation_name, parse_member_id
    from coterie_common.protocol.parameters import AggregatorTrust, choose_parameters
    from coterie_common.randomness import OsRandom

    federation = parse_federation_name(name)
    if invite and aggregator is None:
        raise ConfigurationError("--invite needs --aggregator HOST: tokens name the host where members join")
    address = Address.parse_with_port(aggregator, ENROLMENT_PORT) if aggregator else None
    invited = [parse_member_id(member) for member in invite or ()]
    try:
        trust = AggregatorTrust(aggregator_trust)
    except ValueError as cause:
        raise ConfigurationError(
            f"--aggregator-trust must be one of {', '.join(AggregatorTrust)}, not {aggregator_trust!r}"
        ) from cause
    parameters = choose_parameters(
        parties,
        corruption_bound=corruption_bound,
        decryption_threshold=decryption_threshold,
        quorum=quorum,
        aggregator_trust=trust,
    )
    folder = FederationHome(home)
    is_new = not folder.is_founded
    ask_password = cache(lambda: read_password(password_file, what="the founder's keys", is_new=is_new))
    founded = found_federation(
        folder,
        federation,
        parameters,
        key_bits=key_bits,
        ask_password=ask_password,
        random=OsRandom(),
        now=SystemClock().now(),
    )
    state = "is founded" if founded.is_new else "was founded before; nothing changed"
    say(f"The federation {federation} {state}, in {home}.")
    for sentence in parameters.explain():
        say(f"  {sentence}")
    say(f"Founder's fingerprint, which every party pins: {printed_fingerprint(founded.record.fingerprint)}")
    say(f"Operator's credential: {folder.operator}")
    if address is None:
        say("Next: every member makes its keys (coterie-aggregator init, coterie-party init) and sends its request.")
        return
    for role, ids in ((Role.AGGREGATOR, ["aggregator"]), (Role.PARTY, invited)):
        if ids:
            print_tokens(folder, ids, role, days=DEFAULT_DAYS, renew=False, address=address, ask_password=ask_password)
    say("Next: hand each token to its owner, for 'coterie-aggregator init TOKEN' and 'coterie-party join TOKEN'.")
    say("Then compare phrases and admit with 'coterie admit', and deal the keys with 'coterie keys deal'.")
