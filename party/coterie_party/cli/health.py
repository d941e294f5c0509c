# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""``coterie-party health``: the state of the daemon."""

from __future__ import annotations

from pathlib import Path

from coterie_common.host.console import say
from coterie_party.cli.options import PartyFolder


def health(home: PartyFolder = Path("party")) -> None:
    """Check that the daemon on this folder is connected to the aggregator: exit status 0 only if it is.

    Warnings are printed for: a policy or party.toml that cannot be used (the daemon keeps the previous one); accesses
    that the system does not deny to the training process; data that do not fit their schemas, and unforeseen failures
    (the jobs or messages concerned are refused).
    """
    from coterie_common.clock import SystemClock
    from coterie_common.host.heartbeat import check_heartbeat

    for warning in check_heartbeat(home, "coterie-party", now=SystemClock().now()):
        say(f"warning: {warning}", err=True)
    say("connected to the aggregator")
