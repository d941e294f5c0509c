# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The data sets bound now: those of the current ``party.toml`` or, while it cannot be used, the previous ones.

Invariants:
- Every decision on a job, and every loading of its data, first asks for the data sets; these then match the files at
  that moment: ``party.toml`` and the schemas that it names.
- Nothing else in ``party.toml`` takes effect before the next start.
- A file that cannot be used is reported once per change of it, as an error.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol, TypeAlias

import structlog

from coterie_common.errors import ConfigurationError
from coterie_common.files import read_bytes
from coterie_common.host.config import load
from coterie_common.limits import CONFIG_FILE_BYTES
from coterie_party.data.bindings import BoundDataset, bind_datasets
from coterie_party.home.config import FILE_NAME, DatasetBinding, PartyConfig

log = structlog.get_logger(__name__)
_Contents: TypeAlias = Mapping[Path, bytes | None]


class BindingSource(Protocol):
    """Provides the data sets that are bound."""

    def current(self) -> Mapping[str, BoundDataset]:
        """Return the data sets that are bound now, by name."""
        ...


class BindingsFile:
    """``party.toml`` and the schemas that it names, checked again at every use. Any thread may call it.

    Args:
        root: the party's folder.
        bindings: of the configuration as it was loaded at the start.

    Raises:
        ConfigurationError: they cannot be used.
    """

    def __init__(self, root: Path, bindings: Mapping[str, DatasetBinding]) -> None:
        self._root = root
        self._lock = threading.Lock()
        self._schemas = _schema_paths(root, bindings)
        self._contents = self._read()
        self._datasets = bind_datasets(root, bindings)
        self._warning = ""

    def current(self) -> Mapping[str, BoundDataset]:
        """Return the data sets that are bound now."""
        with self._lock:
            contents = self._read()
            if contents != self._contents:
                # Before they are loaded, so that a failure is reported once.
                self._contents = contents
                self._reload()
            return self._datasets

    def warning(self) -> str:
        """Return why the files differ from the bound data sets, in one sentence; empty if they do not differ."""
        self.current()
        return self._warning

    def _reload(self) -> None:
        try:
            config = load(PartyConfig, self._root / FILE_NAME, "the configuration")
            self._schemas = _schema_paths(self._root, config.datasets)
            self._contents = self._read()
            datasets = bind_datasets(self._root, config.datasets)
        except ConfigurationError as error:
            log.error("data sets not usable, the ones before stay bound", code=error.code, why=error.message)
            self._warning = f"{error.message}; the data sets before stay bound"
            return
        self._warning = ""
        if datasets != self._datasets:
            log.info("data sets changed", datasets=sorted(datasets))
        self._datasets = datasets

    def _read(self) -> _Contents:
        return {path: _content(path) for path in (self._root / FILE_NAME, *self._schemas)}


def _schema_paths(root: Path, bindings: Mapping[str, DatasetBinding]) -> tuple[Path, ...]:
    return tuple(root / schema for binding in bindings.values() for schema in binding.schemas)


def _content(path: Path) -> bytes | None:
    try:
        return read_bytes(path, "the configuration", maximum=CONFIG_FILE_BYTES)
    except ConfigurationError:
        # Missing, for example while an editor replaces it: loading reports that.
        return None
