# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Reading a job file as a person wrote it: files that it names become part of the specification."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

from coterie_common.host.config import load_toml
from coterie_common.learning.evaluation import Evaluation, embed_model
from coterie_common.protocol.job_spec import JobSpec


def read_job(path: Path) -> JobSpec:
    """Read a job file; the model that an evaluation names is embedded.

    Args:
        path: a TOML file. The names of files in it are relative to its folder.

    Raises:
        ConfigurationError: it is missing or no TOML, or so is the model that it names.
        InvalidJob: it is not a job specification; the message gives the reason.
    """
    table = load_toml(path, "the job specification", parse_float=Decimal)
    config = table.get("config")
    if table.get("algorithm") == Evaluation.name and isinstance(config, dict):
        table["config"] = embed_model(config, path.parent)
    return JobSpec.from_table(table)
