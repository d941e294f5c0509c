# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""What the desk keeps, as files: ``FOLDER/applications/NUMBER.json`` and ``FOLDER/published/DIGEST.KIND``.

Every file appears whole or not at all, and is durable when a function returns.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from typing_extensions import override

from coterie_aggregator.enrolment.desk import DeskStore
from coterie_common.errors import ConfigurationError, PeerError, StorageError, UnknownInvitation
from coterie_common.files import PRIVATE, make_durable_folder, read_bytes, sync_folder, write_atomically
from coterie_common.limits import APPLICATION_BYTES, KEY_FILE_BYTES
from coterie_common.membership.invitations.application import Application
from coterie_common.membership.invitations.channel import DocumentKind

_SUFFIX: Final = ".json"
_DIGITS: Final = 8


class DeskFiles(DeskStore):
    """See the module.

    Args:
        folder: of the desk alone; made if it is missing, its parent must exist. No other process writes there: the
            caller holds the lock of the aggregator's folder.

    Raises:
        StorageError: the file system refused.
    """

    def __init__(self, folder: Path) -> None:
        self._applications = folder / "applications"
        self._published = folder / "published"
        for place in (self._applications, self._published):
            make_durable_folder(place, folder)
            # Left by a crash; nobody else writes here.
            for draft in place.glob(".*"):
                self._drop(draft)

    @override
    def applications(self) -> Iterator[tuple[int, Application]]:
        for path in sorted(self._applications.glob(f"*{_SUFFIX}")):
            try:
                data = read_bytes(path, "the application", maximum=APPLICATION_BYTES)
                yield int(path.stem), Application.from_bytes(data)
            except (ConfigurationError, PeerError, UnknownInvitation, ValueError) as cause:
                raise StorageError(f"{path} is damaged: remove it, and have its owner join again") from cause

    @override
    def put_application(self, number: int, application: Application) -> None:
        write_atomically(self._application(number), application.to_bytes(), mode=PRIVATE)

    @override
    def drop_application(self, number: int) -> None:
        self._drop(self._application(number))

    @override
    def put_document(self, request: bytes, kind: DocumentKind, content: bytes) -> None:
        write_atomically(self._document(request, kind), content, mode=PRIVATE)

    @override
    def documents(self, request: bytes) -> Mapping[DocumentKind, bytes]:
        found = {}
        for kind in DocumentKind:
            path = self._document(request, kind)
            if path.is_file():
                try:
                    found[kind] = read_bytes(path, f"the {kind.value}", maximum=KEY_FILE_BYTES)
                except ConfigurationError as cause:
                    raise StorageError(cause.message) from cause
        return found

    @override
    def drop_documents(self, request: bytes) -> None:
        for kind in DocumentKind:
            self._drop(self._document(request, kind))

    def _application(self, number: int) -> Path:
        return self._applications / f"{number:0{_DIGITS}}{_SUFFIX}"

    def _document(self, request: bytes, kind: DocumentKind) -> Path:
        return self._published / f"{request.hex()}.{kind.value}"

    def _drop(self, path: Path) -> None:
        try:
            path.unlink(missing_ok=True)
            sync_folder(path.parent)
        except OSError as cause:
            raise StorageError(f"cannot remove {path}: {cause.strerror}") from cause
