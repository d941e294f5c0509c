# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""``coterie keys``: deal the threshold key."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from coterie.cli.options import FederationFolder, PasswordFile
from coterie_common.host.console import say

if TYPE_CHECKING:
    from coterie.founding.dealing import Dealt

app = typer.Typer(help="Deal the threshold key.", no_args_is_help=True, pretty_exceptions_enable=False)


@app.callback()
def _keys() -> None:
    """Deal the threshold key."""


@app.command()
def deal(
    key_bits: Annotated[
        int | None, typer.Option(help="Key size, if not the one the federation was founded with: 2048, 3072 or 4096.")
    ] = None,
    new_epoch: Annotated[
        bool, typer.Option("--new-epoch", help="Deal again, because of lost bundles, replaced members or a new period.")
    ] = False,
    home: FederationFolder = Path("federation"),
    password_file: PasswordFile = None,
) -> None:
    """Deal the threshold key to all admitted members: one bundle per member, all or none.

    Bundles of members that joined by invitation are published at the aggregator; once more, if that failed before.

    While it runs, this process knows the whole key; the key is stored nowhere.
    """
    from coterie.cli.founding.waiting import publish
    from coterie.founding.dealing import deal_keys
    from coterie.founding.home import FederationHome
    from coterie.founding.invitations import load_invitations
    from coterie_common.clock import SystemClock
    from coterie_common.crypto.dealer import deal as deal_threshold_key
    from coterie_common.host.passwords import read_password
    from coterie_common.randomness import OsRandom

    folder = FederationHome(home)
    ask_password = cache(lambda: read_password(password_file, what="the founder's keys"))
    dealt = deal_keys(
        folder,
        ask_password=ask_password,
        deal=deal_threshold_key,
        random=OsRandom(),
        now=SystemClock().now(),
        key_bits=key_bits,
        new_epoch=new_epoch,
    )
    epoch = dealt.roster.key_epoch
    if load_invitations(folder) is not None:
        state = "are dealt" if dealt.is_new else "were dealt before; --new-epoch deals others"
        say(f"The keys of epoch {epoch} {state}.")
        published = publish(folder, folder.unlock_keys(folder.record(), ask_password()))
        _say_the_rest(dealt, published)
        return
    if dealt.is_new:
        say(f"The keys of epoch {epoch} are dealt. Hand each member its own bundle from {dealt.bundles}:")
    else:
        say(
            f"The keys of epoch {epoch} were dealt before; nothing changed. A lost bundle cannot be made again, "
            f"for nobody keeps the shares: copy it from {dealt.bundles}, or deal a new epoch with --new-epoch, "
            "which every member must import."
        )
    for name in _members(dealt):
        say(f"  {name}: {dealt.bundles / f'{name}.bundle'}")


def _say_the_rest(dealt: Dealt, published: Mapping[str, Sequence[str]]) -> None:
    """Name the bundles of members that did not join by invitation: a person carries them."""
    for name in _members(dealt):
        if "bundle" not in published.get(name, ()):
            say(f"{name} did not join by invitation: hand it {dealt.bundles / f'{name}.bundle'}")


def _members(dealt: Dealt) -> tuple[str, ...]:
    return *(member.party_id for member in dealt.roster.members), dealt.roster.aggregator.id
