# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Logs of the daemons: one line per event on standard error, as text for people or JSON for machines.

Libraries that log through ``logging`` come out as text. Nothing is configured when this module is imported.

Invariant: all logged text is escaped and cut (``shown``), whatever its source: no value makes a second line, and no
line of a traceback begins where a line of ours does.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from enum import StrEnum
from typing import Any, Final

import structlog

from coterie_common.errors import ConfigurationError
from coterie_common.shown import shown, shown_lines

_INDENT: Final = "    "
_MAX_ITEMS: Final = 200
"""Maximum number of members of a federation; nobody reads longer lists in a log."""


class LogFormat(StrEnum):
    """The format of a line."""

    TEXT = "text"
    JSON = "json"


def parse_format(text: str) -> LogFormat:
    """Check a person's input; raises ``ConfigurationError``."""
    try:
        return LogFormat(text)
    except ValueError as cause:
        raise ConfigurationError(f"the log format is 'text' or 'json', not {text[:20]!r}") from cause


def configure_logging(form: LogFormat, *, verbose: bool = False) -> None:
    """Set up the process's logs; call once, in a daemon's entry point.

    Args:
        form: text or JSON.
        verbose: debug lines too.
    """
    level = logging.DEBUG if verbose else logging.INFO
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if form is LogFormat.JSON
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), pad_event_to=0, pad_level=False)
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            _escape,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_EscapingFormatter("%(levelname)s %(name)s %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])


class _EscapingFormatter(logging.Formatter):
    """The log lines of libraries, tracebacks included."""

    def format(self, record: logging.LogRecord) -> str:
        return shown_lines(super().format(record), _INDENT)


def _escape(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for name, value in event.items():
        if name == "exception":
            event[name] = _INDENT + shown_lines(value, _INDENT)
        else:
            event[name] = _plain(value)
    return event


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, list | tuple | set | frozenset):
        items = [_plain(item) for item in list(value)[:_MAX_ITEMS]]
        return items if len(value) <= _MAX_ITEMS else [*items, f"… {len(value):,} in all"]
    return shown(value)
