# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Tests that are coroutines, each in an event loop of its own and with an end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any

SECONDS = 280.0
"""Reached only by a test that waits for something that does not come; less than pytest's own limit, which says less."""


def asynchronous(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    @wraps(test)
    def run(*arguments: Any, **options: Any) -> None:
        async def limited() -> None:
            async with asyncio.timeout(SECONDS):
                await test(*arguments, **options)

        asyncio.run(limited())

    return run
