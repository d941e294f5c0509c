# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""What readers, algorithms and libraries may raise that nobody foresaw."""

from __future__ import annotations

import asyncio
import concurrent.futures
import struct

import pyarrow as pa

FOREIGN: tuple[BaseException, ...] = (
    ValueError("a patient's name"),
    KeyError("column"),
    IndexError(),
    TypeError("unhashable"),
    AttributeError("rows"),
    AssertionError(),
    ArithmeticError(),
    MemoryError(),
    RecursionError("maximum recursion depth exceeded"),
    UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"),
    UnicodeEncodeError("utf-8", "\ud800", 0, 1, "surrogates not allowed"),
    OSError(28, "No space left on device"),
    TimeoutError(),
    EOFError(),
    struct.error("unpack requires 4 bytes"),
    pa.ArrowInvalid("CSV parse error"),
    pa.ArrowNotImplementedError("Unsupported cast"),
    NotImplementedError(),
    StopIteration(),
    StopAsyncIteration(),
    asyncio.CancelledError(),
    concurrent.futures.CancelledError(),
    GeneratorExit(),
    SystemExit(3),
    KeyboardInterrupt(),
    BaseException("of a kind of its own"),
)

WORST = (
    pa.ArrowInvalid("a patient's name"),
    UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"),
    MemoryError(),
    StopIteration(),
    asyncio.CancelledError(),
    concurrent.futures.CancelledError(),
    SystemExit(3),
)
"""Of each way in which they harm a daemon, one."""
