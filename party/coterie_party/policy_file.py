# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The policy in force: that of the file as it is now, or, while that cannot be used, the last one that could.

Invariants:
- Whoever decides or answers asks for the policy in force first; it is then that of the file at that moment.
- A file that cannot be used is said once per change of it, as an error.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Protocol

import structlog

from coterie_common.errors import ConfigurationError
from coterie_common.files import read_bytes
from coterie_common.limits import CONFIG_FILE_BYTES
from coterie_party.policy import Policy, load_policy

_log = structlog.get_logger(__name__)


class PolicySource(Protocol):
    """Knows the policy in force."""

    def current(self) -> Policy:
        """Return the policy in force now."""
        ...


class PolicyFile:
    """``policy.toml``, looked at again whenever it matters. Any thread may ask.

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
        """Return the policy in force now; reading a few kilobytes is cheaper than to guess from times of change."""
        with self._lock:
            content = self._read()
            if content != self._content:
                # Before the policy is loaded, so that a failure is said once.
                self._content = content
                self._reload()
            return self._policy

    def warning(self) -> str:
        """Return why the file is not what is in force now, one sentence; empty if it is."""
        self.current()
        return self._warning

    def _reload(self) -> None:
        try:
            policy = load_policy(self._path)
        except ConfigurationError as error:
            _log.error("policy not usable, the one before stays in force", code=error.code, why=error.message)
            self._warning = f"{error.message}; the policy before stays in force"
            return
        self._warning = ""
        if policy != self._policy:
            _log.info("policy changed", path=str(self._path))
        else:
            _log.info("policy read again, nothing changed", path=str(self._path))
        self._policy = policy

    def _read(self) -> bytes | None:
        try:
            return read_bytes(self._path, "the policy", most=CONFIG_FILE_BYTES)
        except ConfigurationError:
            # Missing, say while an editor replaces it: ``load_policy`` says so in words.
            return None
