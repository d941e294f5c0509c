# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The party's configuration file, ``party.toml``. Paths are relative to the party's folder."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

from pydantic import BeforeValidator, Field

from coterie_common.host.config_types import AddressEntry, FingerprintEntry, PartyIdEntry, PathEntry, from_text
from coterie_common.identifiers import parse_party_id
from coterie_common.learning.data.file_format import FileFormat
from coterie_common.strict_model import StrictModel

if TYPE_CHECKING:
    from coterie_party.training.process import TrainingLimits

FILE_NAME: Final = "party.toml"


def _fraction(value: Any) -> Decimal:
    # A number in TOML is read as a float whose shortest form is what the person wrote.
    try:
        fraction = Decimal(str(value))
    except InvalidOperation as cause:
        raise ValueError("must be a number such as 0.2") from cause
    if not fraction.is_finite() or not 0 <= fraction < 1:
        raise ValueError("must be a number from 0 to below 1")
    return fraction


class DatasetBinding(FileFormat):
    """A local data set that jobs may name, and how its file is written: see ``FileFormat`` for those entries.

    Attributes:
        path: CSV or Parquet file.
        schemas: TOML files with a table ``[schema]``, such as job files: jobs may describe the data like this only.
        set_aside: fraction of the records that no training sees, for evaluating models.
    """

    path: PathEntry
    schemas: Annotated[tuple[PathEntry, ...], Field(strict=False, min_length=1)]
    set_aside: Annotated[Decimal, BeforeValidator(_fraction)] = Decimal(0)

    @property
    def form(self) -> FileFormat:
        """Return how the file is written."""
        return FileFormat(**{name: getattr(self, name) for name in FileFormat.model_fields})


class TrainingConfig(StrictModel):
    """Limits of the process that computes vectors, such as gradients, of one job.

    Attributes:
        seconds: for one round, loading included.
        memory_mib: of its own.
        must_be_isolated: refuse where the system does not let it be cut off from the network.
        code: folders with packages of users, such as networks; only this process imports from them.
    """

    seconds: Annotated[int, Field(ge=1, le=7 * 24 * 3600)] = 600
    memory_mib: Annotated[int, Field(ge=64)] = 8192
    must_be_isolated: bool = False
    code: Annotated[tuple[PathEntry, ...], Field(strict=False)] = ()


class PartyConfig(StrictModel):
    """``party.toml``.

    Attributes:
        id: this party's id.
        founder: the founder's fingerprint; nothing of another founder is believed.
        aggregator: where the aggregator listens; by default the first name of its certificate at the usual port.
        password_file: its one line unlocks the keys; without it a person is asked.
        training: limits of the process that computes vectors.
        notify: program and arguments, run when a job waits for the steward or the hours; nothing without it.
        datasets: data sets by the name under which jobs ask for them.
    """

    id: PartyIdEntry
    founder: FingerprintEntry
    aggregator: AddressEntry | None = None
    password_file: PathEntry | None = None
    notify: Annotated[tuple[Annotated[str, Field(min_length=1)], ...], Field(strict=False, min_length=1)] | None = None
    training: TrainingConfig = Field(default_factory=TrainingConfig)
    datasets: dict[Annotated[str, from_text(parse_party_id)], DatasetBinding] = Field(default_factory=dict)

    def training_limits(self, root: Path) -> TrainingLimits:
        """Return what the training process may use and must not see, for the party's folder ``root``."""
        # late: commands that start no training process need not load what one takes
        from coterie_party.training.process import TrainingLimits

        training = self.training
        files = [each.path for each in self.datasets.values()] + ([self.password_file] if self.password_file else [])
        return TrainingLimits(
            seconds=float(training.seconds),
            memory_bytes=training.memory_mib << 20,
            must_be_isolated=training.must_be_isolated,
            hidden=(root, *(root / file for file in files)),
            code=tuple(root / folder for folder in training.code),
        )


TEMPLATE: Final = """\
# Configuration of a party. Paths are relative to this file's folder.

# This party's id, as the founder admits it.
id = "{id}"

# The founder's fingerprint, compared with the founder over the telephone or in person.
# Nothing that another founder signed is believed.
founder = "{founder}"

# Where the aggregator listens. Without this line: the first name in its certificate, port 8443.
{aggregator}

# A file whose one line is the password of this party's keys. Without it the password is asked for at every start.
# Give it to nobody but the user that runs the party: chmod 600.
# password_file = "password"

# A command to run when a job waits for the steward's decision or for the hours of the policy: without a shell, in this
# folder, for at most 30 seconds. It gets the facts in COTERIE_JOB, COTERIE_REASON, COTERIE_ALGORITHM, COTERIE_DATASET,
# COTERIE_EPSILON and COTERIE_DELTA, and as one JSON object on its standard input.
# notify = ["./tell-me.sh", "steward@hospital.example"]

# Limits of the process that computes gradients of networks and linear models: seconds for one round, memory, and
# whether jobs are refused if the system cannot cut the process off from the network.
# [training]
# seconds = 600
# memory_mib = 8192
# must_be_isolated = true
# Folders with packages of users, such as networks; only that process imports from them. It sees them, Python and its
# libraries, but neither this folder nor the data; "coterie-party health" reports what the system does not prevent.
# code = ["networks"]

# Data sets, by the name under which jobs ask for them. schemas are files with a table [schema], as in a job file: jobs
# that describe the data in another way are refused, whether the data would fit or not. set_aside is the fraction of the
# records that no training ever sees, so that finished models can be evaluated on them. The other entries describe the
# format of the file, where it differs from the default. 'coterie-party data check' checks that the data fit.
# [datasets.nursery]
# path = "data/nursery.csv"
# schemas = ["nursery-tree.toml"]
# set_aside = 0.2
# separator = ";"
# decimal = ","
# encoding = "windows-1252"
# missing = ["NA", "-9"]
# trim = true
"""
