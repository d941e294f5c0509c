# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""``coterie-party health``: how the daemon is."""

from __future__ import annotations

from pathlib import Path

from coterie_common.console import say
from coterie_party.cli.options import PartyFolder


def health(home: PartyFolder = Path("party")) -> None:
    """Say whether the daemon on this folder is connected to the aggregator: exit status 0 only if it is.

    These are warnings: a policy or a party.toml that cannot be used, for the daemon goes on with the one before;
    what the system does not keep the training process from; data that do not fit their schemas, and failures that
    nobody foresaw, for what these are about is refused.
    """
    from coterie_common.clock import SystemClock
    from coterie_common.heartbeat import check_heartbeat

    for warning in check_heartbeat(home, "coterie-party", now=SystemClock().now()):
        say(f"warning: {warning}", err=True)
    say("connected to the aggregator")
