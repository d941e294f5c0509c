# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Logs of the daemons: one line per event on standard error, as text for people or JSON for machines.

Libraries that log through ``logging`` come out the same way. Nothing is configured when this module is imported.
"""

from __future__ import annotations

import logging
import sys
from enum import StrEnum

import structlog

from coterie_common.errors import ConfigurationError


class LogFormat(StrEnum):
    """How a line looks."""

    TEXT = "text"
    JSON = "json"


def parse_format(text: str) -> LogFormat:
    """Check what a person gave; raises ``ConfigurationError``."""
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
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(levelname)s %(name)s %(message)s")
