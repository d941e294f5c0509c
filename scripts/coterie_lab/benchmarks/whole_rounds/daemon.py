# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The daemons of a benchmark: those of the product, given a sealing that leaves some jobs unsealed.

``python -m coterie_lab.benchmarks.whole_rounds.daemon aggregator|party HOME [FILE]``; FILE takes what a watchdog sees
of its event loop.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from coterie_aggregator.app import serve
from coterie_aggregator.home.home import load_aggregator_home
from coterie_common.clock import SystemClock
from coterie_common.host.passwords import read_password
from coterie_common.host.telemetry import configure_logging, parse_format
from coterie_lab.benchmarks.whole_rounds.plain_sealing import make_either_sealing
from coterie_lab.benchmarks.whole_rounds.watchdog import run_watched
from coterie_party.app import run
from coterie_party.home.home import PartyHome, load_party_home


def main(who: str, home: Path, watchdog: Path | None = None) -> None:
    """Run one daemon until SIGTERM."""
    configure_logging(parse_format("text"), verbose=False)
    now = SystemClock().now()
    if who == "aggregator":
        work = serve(home, load_aggregator_home(home, now=now), make_sealing=make_either_sealing)
    else:
        password = read_password(PartyHome(home).password_file(None), what="this party's keys")
        work = run(home, load_party_home(home, password, now=now), make_sealing=make_either_sealing)
    if watchdog is None:
        asyncio.run(work)
    else:
        run_watched(work, watchdog)


if __name__ == "__main__":
    main(sys.argv[1], *map(Path, sys.argv[2:]))
