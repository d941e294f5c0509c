# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Writes the table of modules into each component's README, from the first paragraphs of the modules' docstrings.

python3 scripts/module_tables.py           writes common/, aggregator/ and party/README.md
python3 scripts/module_tables.py --check   only compares: exit status 1 when one is out of date
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
COMPONENTS = {
    "common": ("coterie_common", "coterie"),
    "aggregator": ("coterie_aggregator",),
    "party": ("coterie_party",),
}
BEGIN, END = "<!-- modules: written by scripts/module_tables.py -->\n", "<!-- end of modules -->\n"
# Generated code and database revisions are explained in their own folders.
LEFT_OUT = {"pb", "migrations"}


def summary(path: Path) -> str:
    """The first paragraph of a module's docstring, as one line of a table."""
    text = ast.get_docstring(ast.parse(path.read_text("utf-8"))) or ""
    return " ".join(text.partition("\n\n")[0].split()).replace("``", "`").replace("|", "\\|")


def tables(package: Path) -> Iterator[str]:
    """One table for a package, and one for each package inside it."""
    modules = [path for path in sorted(package.glob("*.py")) if not path.name.startswith("__")]
    yield f"### `{package.relative_to(package_root(package)).as_posix().replace('/', '.')}`\n\n"
    yield f"{summary(package / '__init__.py')}\n\n"
    if modules:
        yield "| module | |\n|---|---|\n"
        yield from (f"| `{path.stem}` | {summary(path)} |\n" for path in modules)
        yield "\n"
    for folder in sorted(package.iterdir()):
        if (folder / "__init__.py").is_file() and folder.name not in LEFT_OUT:
            yield from tables(folder)


def package_root(package: Path) -> Path:
    """The folder from which ``package`` is imported."""
    return next(ROOT / component for component in COMPONENTS if package.is_relative_to(ROOT / component))


def main(arguments: list[str]) -> int:
    """Write or compare; return the exit status."""
    status = 0
    for component, packages in COMPONENTS.items():
        readme = ROOT / component / "README.md"
        text = readme.read_text("utf-8")
        before, after = text[: text.index(BEGIN) + len(BEGIN)], text[text.index(END) :]
        written = before + "\n" + "".join(line for name in packages for line in tables(ROOT / component / name)) + after
        if arguments == ["--check"]:
            if written != text:
                print(f"{component}/README.md is out of date; run python3 scripts/module_tables.py", file=sys.stderr)
                status = 1
        else:
            readme.write_text(written, "utf-8")
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
