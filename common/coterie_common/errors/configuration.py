# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Errors of the operator, the steward or the scientist: something that they wrote or named cannot work."""

from __future__ import annotations

from coterie_common.errors.error import CoterieError


class ConfigurationError(CoterieError):
    """A setting, file or argument given by a person cannot be used."""

    code = "configuration"


class DataError(ConfigurationError):
    """A data set does not fit its schema; the message names file, row, column and the allowed values."""

    code = "data"


class RecordsMoved(DataError):
    """A data set's rows moved after a job's cost was reserved for one division of them."""

    code = "records-moved"


class KeyFileError(ConfigurationError):
    """A key file is missing, damaged, of another version, or its password is wrong."""

    code = "key-file"


class OldKeyError(KeyFileError):
    """A key, or what belongs to one, that an earlier version dealt and this version does not open with.

    Args:
        what: is of such a key; begins the message.
    """

    code = "old-key"

    def __init__(self, what: str) -> None:
        super().__init__(
            f"{what} belongs to a key that an earlier version of Coterie dealt, and this version opens nothing with "
            "it; the founder deals a new epoch with 'coterie keys deal --new-epoch', every member imports its new "
            "bundle, and every person the new credential"
        )


class WrongOrderError(ConfigurationError):
    """A set-up command was run before the one it builds on; the message names that one."""

    code = "wrong-order"


class MistypedToken(ConfigurationError):
    """A text is no token of an invitation, or part of it is missing or mistyped."""

    code = "mistyped-token"


class TrainingFailed(ConfigurationError):
    """A party could not compute the vectors of a round, because of its network, its algorithm or its limits."""

    code = "training-failed"


class TrainingTimeout(TrainingFailed):
    """The computation took longer than the party allows."""

    code = "training-timeout"


class TrainingDied(TrainingFailed):
    """The process that computes ended by itself or was ended, by the memory limit for example."""

    code = "training-died"


class VectorsNotFinite(TrainingFailed):
    """A vector holds NaN or infinity."""

    code = "vectors-not-finite"


class WrongVectorShape(TrainingFailed):
    """There are more, fewer, longer or shorter vectors than the round asks."""

    code = "wrong-vector-shape"


class RowsNotIndependent(TrainingFailed):
    """On this machine a record's vector depends on the other records of its batch, so that clipping bounds nothing."""

    code = "rows-not-independent"


class NotFound(CoterieError):
    """A person asked for a job, model or party that is not there."""

    code = "not-found"
    may_be_told = True
