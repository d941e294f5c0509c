# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The signals that ask a daemon to end."""

from __future__ import annotations

import asyncio
import signal


def stop_on_signals() -> asyncio.Future[None]:
    """Return a future that is done when the process is asked to end."""
    loop = asyncio.get_running_loop()
    asked: asyncio.Future[None] = loop.create_future()

    def ask() -> None:
        if not asked.done():
            asked.set_result(None)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ask)
    return asked
