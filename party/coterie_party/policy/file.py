# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The policy in force: that of the current file or, while it cannot be used, the last one that could.

Invariants:
- Every decision and every answer first asks for the policy in force, which then matches the file at that moment.
- A file that cannot be used is reported once per change of it, as an error.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Protocol

import structlog

from coterie_common.errors import ConfigurationError
from coterie_common.files import read_bytes
from coterie_common.limits import CONFIG_FILE_BYTES
from coterie_party.policy.policy import Policy, load_policy

log = structlog.get_logger(__name__)


class PolicySource(Protocol):
    """Provides the policy in force."""

    def current(self) -> Policy:
        """Return the policy in force now."""
        ...


class PolicyFile:
    """``policy.toml``, checked again at every use. Any thread may call it.

    Args:
        path: the file.

    Raises:
        ConfigurationError: there is no policy to begin with.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._content = self._read()
        self._policy = load_policy(path)
        self._warning = ""

    def current(self) -> Policy:
        """Return the policy in force now; reading a few kilobytes is cheaper than guessing from modification times."""
        with self._lock:
            content = self._read()
            if content != self._content:
                # Before the policy is loaded, so that a failure is reported once.
                self._content = content
                self._reload()
            return self._policy

    def warning(self) -> str:
        """Return why the file differs from the policy in force, in one sentence; empty if it does not differ."""
        self.current()
        return self._warning

    def _reload(self) -> None:
        try:
            policy = load_policy(self._path)
        except ConfigurationError as error:
            log.error("policy not usable, the one before stays in force", code=error.code, why=error.message)
            self._warning = f"{error.message}; the policy before stays in force"
            return
        self._warning = ""
        if policy != self._policy:
            log.info("policy changed", path=str(self._path))
        else:
            log.info("policy read again, nothing changed", path=str(self._path))
        self._policy = policy

    def _read(self) -> bytes | None:
        try:
            return read_bytes(self._path, "the policy", maximum=CONFIG_FILE_BYTES)
        except ConfigurationError:
            # Missing, for example while an editor replaces it: ``load_policy`` reports that.
            return None
