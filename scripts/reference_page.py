# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Writes docs/reference.md from the code: exit statuses, error codes, and the entries of every configuration file.

.venv/bin/python scripts/reference_page.py           writes the page
.venv/bin/python scripts/reference_page.py --check   only compares: exit status 1 when it is out of date
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from coterie_aggregator.home.config import AggregatorConfig
from coterie_common.errors import CoterieError
from coterie_common.host.console import EXIT_STATUSES, exit_status
from coterie_common.host.error_advice import ADVICE
from coterie_common.learning.algorithm import BUILT_IN_ALGORITHMS, get_algorithm
from coterie_common.learning.data.column import CategoricalColumn, NumericColumn
from coterie_common.learning.data.schema import SchemaTable
from coterie_common.protocol.job_spec import JobTable, PrivacyGoal, RoundSettings
from coterie_party.home.config import DatasetBinding, PartyConfig, TrainingConfig
from coterie_party.policy.hours import Hours
from coterie_party.policy.policy import Budget, DatasetRules, Period, Policy

PAGE = Path(__file__).resolve().parents[1] / "docs/reference.md"
INTRODUCTION = """\
# Reference

Exit statuses, error codes and the entries of every configuration file. This page is written from the code by
`scripts/reference_page.py`; a test compares them.
"""
ERRORS = """\
Every error is one line that ends in a stable code in brackets. Daemons log the same codes. *Status* is the exit status
of a command that ends with the error.
"""
TABLES: dict[str, tuple[str, dict[str, type[BaseModel]]]] = {
    "The job file": (
        "What `coterie jobs submit` takes; see [algorithms.md](algorithms.md).",
        {
            "The file": JobTable,
            "`[privacy]`": PrivacyGoal,
            "`[rounds]`": RoundSettings,
            "`[schema]`": SchemaTable,
            "A column of few known texts": CategoricalColumn,
            "A column of numbers": NumericColumn,
        },
    ),
    "`party.toml`": (
        "See [operating.md](operating.md).",
        {"The file": PartyConfig, "`[datasets.NAME]`": DatasetBinding, "`[training]`": TrainingConfig},
    ),
    "`policy.toml`": (
        "See [operating.md](operating.md#the-policy).",
        {
            "The file": Policy,
            "`[lifetime]`": Budget,
            "`[[periods]]`": Period,
            "`[[hours]]`": Hours,
            "`[datasets.NAME]`": DatasetRules,
        },
    ),
    "`aggregator.toml`": ("See [operating.md](operating.md).", {"The file": AggregatorConfig}),
}


def cell(text: str) -> str:
    """Text of a docstring in the form for a table."""
    return " ".join(text.split()).replace("``", "`").replace("|", "\\|")


def attributes(model: type[BaseModel]) -> dict[str, str]:
    """The description of each attribute, from the docstrings of a model and its bases."""
    found: dict[str, str] = {}
    for base in reversed(model.__mro__):
        text = inspect.cleandoc(base.__doc__ or "") if issubclass(base, BaseModel) else ""
        _, _, listed = text.partition("Attributes:\n")
        for entry in re.split(r"\n(?=    \w)", "\n" + listed.partition("\n\n")[0]):
            names, _, words = entry.strip().partition(": ")
            found |= dict.fromkeys(re.split(r", ", names), cell(words)) if words else {}
    return found


def allowed(schema: dict[str, Any], kinds: dict[str, Any]) -> str:
    """The values that a JSON schema admits, in words."""
    if "$ref" in schema:
        return allowed(kinds[schema["$ref"].rpartition("/")[2]], kinds)
    if "enum" in schema or "const" in schema:
        return ", ".join(f'`"{value}"`' for value in schema.get("enum", [schema.get("const")]))
    if "anyOf" in schema:
        kept = [each for each in schema["anyOf"] if each.get("type") != "null"]
        if {each.get("type") for each in kept} == {"number", "string"}:
            kept = [{"type": "number"}]  # an exact number, which may be written as text
        return " or ".join(
            allowed({**{k: v for k, v in schema.items() if k != "anyOf"}, **each}, kinds) for each in kept
        )
    kind = schema.get("type", "text")
    if kind == "array":
        return f"list of {allowed(schema['items'], kinds)}"
    if kind == "object":
        return '`"HOST:PORT"`' if schema.get("properties", {}).keys() == {"host", "port"} else "table"
    words = {"integer": "whole number", "string": "text", "boolean": "true or false"}.get(kind, kind)
    words = "path" if schema.get("format") == "path" else words
    minimum = schema.get("minimum", schema.get("ge"))
    maximum, above = schema.get("maximum", schema.get("le")), schema.get("exclusiveMinimum", schema.get("gt"))
    limits = [f"from {minimum:,}" if minimum is not None else "", f"above {above:,}" if above is not None else ""]
    limits += [f"to {maximum:,}" if isinstance(maximum, int) else f"to {maximum}" if maximum is not None else ""]
    return " ".join([words, *filter(None, limits)])


def default(value: Any) -> str:
    """A default as a person would write it."""
    if value is None or value in ([], {}):
        return "none"
    if isinstance(value, dict):
        return f'`"{value["host"]}:{value["port"]}"`' if value.keys() == {"host", "port"} else "see its table"
    if isinstance(value, list):
        return f"`[{', '.join(chr(34) + str(entry) + chr(34) for entry in value)}]`"
    return f"`{str(value).lower()}`" if isinstance(value, bool | int | float) else f'`"{value}"`'


def table(model: type[BaseModel]) -> Iterator[str]:
    """One row per entry of a model."""
    schema, words = model.model_json_schema(), attributes(model)
    required = schema.get("required", ())
    yield "| entry | allowed | default | meaning |\n|---|---|---|---|\n"
    for name, entry in schema["properties"].items():
        field = next(key for key, each in model.model_fields.items() if (each.alias or key) == name)
        is_table = entry.get("type") == "object" or ("$ref" in entry and "default" not in entry)
        preset = "required" if name in required else default(entry.get("default", {} if is_table else None))
        meaning = words.get(field) or words[name]
        yield f"| `{name}` | {allowed(entry, schema.get('$defs', {}))} | {preset} | {meaning} |\n"


def page() -> Iterator[str]:
    """The page, piece by piece."""
    yield INTRODUCTION
    yield "\n## Exit statuses\n\n| status | meaning |\n|---|---|\n"
    yield from (f"| {status} | {meaning} |\n" for status, meaning in EXIT_STATUSES.items())
    yield f"\n## Error codes\n\n{ERRORS}\n| code | meaning | what to do | status |\n|---|---|---|---|\n"
    for kind in sorted(ADVICE, key=lambda each: each.code):
        meaning = cell((kind.__doc__ or "").partition("\n\n")[0]).rstrip(".")
        yield f"| `{kind.code}` | {meaning} | {ADVICE[kind]} | {exit_status(kind)} |\n"
    for title, (sentence, models) in TABLES.items():
        yield f"\n## {title}\n\n{sentence}\n"
        for heading, model in models.items():
            yield f"\n### {heading}\n\n"
            yield from table(model)
    yield "\n## `[config]` of each algorithm\n\nSee [algorithms.md](algorithms.md).\n"
    for name in sorted(BUILT_IN_ALGORITHMS):
        config = config_model(name)
        if config is not None:
            yield f"\n### `{name}`\n\n"
            yield from table(config)


def config_model(name: str) -> type[BaseModel] | None:
    """The model of an algorithm's ``[config]``; nothing where it is no model, as of an evaluation."""
    algorithm: Any = get_algorithm(name)
    kind = getattr(algorithm, "config_type", None)
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


def main(arguments: list[str]) -> int:
    """Write or compare; return the exit status."""
    written = "".join(page())
    if arguments == ["--check"]:
        if written != PAGE.read_text("utf-8"):
            print("docs/reference.md is out of date; run .venv/bin/python scripts/reference_page.py", file=sys.stderr)
            return 1
        return 0
    PAGE.write_text(written, "utf-8")
    return 0


def errors() -> set[type[CoterieError]]:
    """Every error with a code of its own."""
    found, waiting = set(), [CoterieError]
    while waiting:
        kind = waiting.pop()
        waiting += kind.__subclasses__()
        if "code" in vars(kind) and kind is not CoterieError:
            found.add(kind)
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
