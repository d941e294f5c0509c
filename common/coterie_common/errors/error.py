# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The base of all errors that Coterie raises on purpose."""

from __future__ import annotations

from typing import ClassVar


class CoterieError(Exception):
    """Base of all deliberate errors; never raised itself.

    Attributes:
        code: stable identifier, lower case with hyphens.
        may_be_told: true if the other side may see the text. Texts of our own errors, in a party's data, configuration
            or code, stay local: they may quote them. Code that reports an error to others takes its text from
            ``public_message``, which applies this rule.
        culprits: ids of the members proven or claimed to be at fault; empty unless a subclass of ``PeerError``.
    """

    code: ClassVar[str] = ""
    may_be_told: ClassVar[bool] = False

    def __init__(self, message: str) -> None:
        if not self.code:
            raise TypeError(f"{type(self).__name__} is a family of errors, raise one of its members")
        super().__init__(message)
        self.message = message
        self.culprits: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.message} [{self.code}]"

    @property
    def public_message(self) -> str:
        """The words that others may see; empty if they stay in the house."""
        return self.message if self.may_be_told else ""
