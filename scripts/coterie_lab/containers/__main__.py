# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""``scripts/testbed``: Coterie in containers on one machine, from building the image to removing everything."""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

from coterie_lab.containers.docker import ROOT, EngineError, compose_words
from coterie_lab.containers.testbed import ContainerTestbed


def main() -> int:
    """Run the testbed; returns the exit status."""
    options = _options()
    began = time.monotonic()

    def say(text: str) -> None:
        print(text if text.startswith(" ") else f"[{time.monotonic() - began:3.0f} s] {text}", flush=True)

    testbed = ContainerTestbed(say)
    # Even when the testbed is asked to end, everything below is removed.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    status = 1
    kept = False
    try:
        left = testbed.project.left()
        if options.down:
            say(f"removing {len(left)} containers, networks and volumes")
            return 0
        if left:
            kept = True
            say(
                f"error: a testbed is there already ({len(left)} containers, networks and volumes); "
                "scripts/testbed --down removes it"
            )
            return 1
        _run(testbed, options, say)
        kept = options.keep
        status = 0
    except KeyboardInterrupt:
        say("interrupted")
        status = 130
    except EngineError as error:
        say(f"error: {error}")
    finally:
        # A second, impatient Ctrl-C must not leave half of it behind.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        if not kept:
            try:
                testbed.project.remove()
                say("removed: no container, network or volume is left")
            except EngineError as error:
                say(f"error: {error}")
                status = 1
    return status


def _run(testbed: ContainerTestbed, options: argparse.Namespace, say: Callable[[str], None]) -> None:
    say("building the image (minutes the first time, seconds later)")
    testbed.build()
    say("founding a federation of four parties, each in a container of its own")
    testbed.up()
    say("every party is connected; checking that everybody has what is theirs and nothing else")
    testbed.check()
    say(
        "training a private decision tree on the Nursery data" + (", with a party in trouble" if options.faults else "")
    )
    trained = testbed.train(options.out, with_faults=options.faults)
    if options.faults:
        if 3 not in trained.contributors:
            raise EngineError(f"no round went on without the party in trouble: {trained.contributors} contributors")
        testbed.recover()
    say(f"model: {trained.model}, contributors per round: {', '.join(map(str, trained.contributors))}")
    say(f"on records that no party has: {trained.accuracy}")
    testbed.check()
    if options.keep:
        say(f"kept. Look around: {compose_words()} ps; remove it: scripts/testbed --down")
        return
    testbed.stop()
    say("every daemon ended in order")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/testbed", description=__doc__)
    parser.add_argument(
        "--faults", action="store_true", help="pause, unplug and kill a party while the job runs; it must complete"
    )
    parser.add_argument("--keep", action="store_true", help="leave everything running afterwards")
    parser.add_argument("--down", action="store_true", help="remove what --keep left, and do nothing else")
    parser.add_argument(
        "--engine",
        choices=("auto", "docker"),
        default="auto",
        help="docker: only an engine that answers; auto: else start one (Debian, Ubuntu; root)",
    )
    parser.add_argument("--out", type=Path, default=ROOT / "testbed-run", help="folder for the model")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
