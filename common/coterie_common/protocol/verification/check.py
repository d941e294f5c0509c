# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""A verification as a tuple of numbered checks, each stated in words; tests leave one out at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Generic, NamedTuple, TypeVar

S_contra = TypeVar("S_contra", contravariant=True)
T = TypeVar("T")


class Check(NamedTuple, Generic[S_contra]):
    """One numbered check of a verification.

    Attributes:
        number: its place, from 1 on.
        name: the condition that holds once it has passed.
        run: raises if the condition does not hold; may add values to the subject that later checks build on.
    """

    number: int
    name: str
    run: Callable[[S_contra], None]


def run_checks(checks: Iterable[Check[T]], subject: T) -> None:
    """Run checks in their order; the exception of the first that fails propagates."""
    for check in checks:
        check.run(subject)
