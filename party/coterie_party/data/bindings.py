# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The data sets that a steward bound: their files, and the schemas under which jobs may use them.

Whether data fit a schema is a fact about the data. If a job could choose the schema, refusals would answer questions
that no noise hides and no ledger counts: how many records there are, the greatest value, whether a level occurs. So
the steward decides beforehand which schemas are accepted, and data are read only through one of those.

Invariants:
- Whether a job is refused because of its schema does not depend on the data.
- No file is bound under two names: each name has a budget of its own.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from coterie_common.errors import ConfigurationError, ConsentDenied, DataError, InvalidJob
from coterie_common.host.config import load_toml
from coterie_common.learning.agreement import PlannedJob
from coterie_common.learning.data.dataset import Dataset
from coterie_common.learning.data.dataset_file import load_dataset
from coterie_common.learning.data.file_format import PLAIN, FileFormat
from coterie_common.learning.data.schema import Schema, parse_schema
from coterie_common.learning.plan import Records
from coterie_party.data.set_aside import records_of
from coterie_party.home.config import DatasetBinding


@dataclass(frozen=True, slots=True, kw_only=True)
class BoundDataset:
    """One data set.

    Attributes:
        name: under which jobs ask for it.
        path: its file.
        schemas: that the steward accepts.
        schema_files: their files, for people; one per schema, or none at all.
        form: how the file is written.
        set_aside: expected share of the records that no training sees.
    """

    name: str
    path: Path
    schemas: tuple[Schema, ...]
    schema_files: tuple[str, ...] = ()
    form: FileFormat = PLAIN
    set_aside: Decimal = Decimal(0)

    def accepted(self, asked: Schema) -> Schema:
        """Return the accepted schema through which a job with schema ``asked`` reads the data.

        Raises:
            ConsentDenied: the steward accepts no such schema.
        """
        covering = next((schema for schema in self.schemas if schema.covers(asked)), None)
        if covering is None:
            raise ConsentDenied(
                f"the job describes the data set {self.name} otherwise than its steward does; the schemas that are "
                f"accepted stand in party.toml under datasets.{self.name}.schemas"
            )
        return covering

    def check(self, asked: Schema) -> None:
        """Check that the data can be read for a job with schema ``asked``.

        Raises:
            ConsentDenied: the steward does not accept this schema.
            DataError: the data do not fit the schema that the steward does accept.
        """
        load_dataset(self.path, self.accepted(asked), self.form)

    def checks(self) -> Iterator[tuple[str, int | DataError]]:
        """Read the data through each schema: yield its file, and the number of records or the error."""
        for file, schema in zip(self.schema_files, self.schemas, strict=True):
            try:
                yield file, load_dataset(self.path, schema, self.form).rows
            except DataError as error:
                yield file, error

    def problem(self) -> DataError | None:
        """Return the first thing that does not fit, for the steward; ``None`` if everything does."""
        for file, found in self.checks():
            if isinstance(found, DataError):
                return DataError(f"as {file} describes it, {found.message}") if len(self.schemas) > 1 else found
        return None

    def load(self, job: PlannedJob, kinds: Collection[Records], salt: bytes) -> dict[Records, Dataset]:
        """Read the records that a job counts, by kind; raises as ``check``."""
        schema = self.accepted(job.schema)
        dataset = load_dataset(self.path, schema, self.form)
        split = (records_of(dataset, kind, self.set_aside, salt).seen_as(job.schema) for kind in kinds)
        return dict(zip(kinds, split, strict=True))


def bind_datasets(root: Path, bindings: Mapping[str, DatasetBinding]) -> dict[str, BoundDataset]:
    """Read the schemas of all bindings; their paths are relative to ``root``.

    Raises:
        ConfigurationError: a schema cannot be read, a path leads nowhere, or a file is bound under two names.
    """
    bound: dict[str, BoundDataset] = {}
    names: dict[Path, str] = {}
    for name, binding in bindings.items():
        path = root / binding.path
        try:
            other = names.setdefault(path.resolve(), name)
        except (OSError, RuntimeError) as cause:  # a circle of links, for one
            raise ConfigurationError(f"{path} leads nowhere: {cause}") from cause
        if other != name:
            raise ConfigurationError(
                f"{path} is bound as {other} and as {name}: each name has a privacy budget of its own, "
                "and records have only one"
            )
        schemas = tuple(_load_schema(root / file) for file in binding.schemas)
        bound[name] = BoundDataset(
            name=name,
            path=path,
            schemas=schemas,
            schema_files=tuple(map(str, binding.schemas)),
            form=binding.form,
            set_aside=binding.set_aside,
        )
    return bound


def _load_schema(path: Path) -> Schema:
    table: Any = load_toml(path, "the schema", parse_float=Decimal).get("schema")
    if not isinstance(table, dict):
        raise ConfigurationError(f"the schema {path} has no table [schema]")
    try:
        return parse_schema(table)
    except InvalidJob as cause:
        raise ConfigurationError(f"{path}: {cause.message}") from cause
