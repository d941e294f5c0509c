# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""What a source file spells out that may be a key or a constant of something stored."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Final

from tests.support.repository import PACKAGES, module_name


class Spelled(ast.NodeVisitor):
    """What one source file spells out.

    Attributes:
        written: keys of objects that are written down as such, with the constants that say what kind of object it is.
        read: keys by which objects are read or added to.
        constants: texts without spaces that have a name in the module.
    """

    def __init__(self, path: Path) -> None:
        self.written: set[str] = set()
        self.read: set[str] = set()
        self.constants: set[str] = set()
        tree = ast.parse(path.read_text("utf-8"))
        if not _is_for_people(path):
            self.visit(tree)
        for statement in tree.body:
            if isinstance(statement, ast.Assign | ast.AnnAssign) and _is_word(word := text_of(statement.value)):
                self.constants.add(word)

    def visit_Dict(self, node: ast.Dict) -> None:
        if not any(isinstance(value, ast.Tuple) for value in node.values):  # tables of numbers
            pairs = [(text_of(key), text_of(value)) for key, value in zip(node.keys, node.values, strict=True)]
            words = (f"{key}={value}" if key in _TELLING and _is_word(value) else key for key, value in pairs)
            self.written.update(word for word in words if _is_key(word.partition("=")[0]))
        self.generic_visit(node)

    def visit_Tuple(self, node: ast.Tuple) -> None:
        # Names of entries, such as ``Fields`` takes.
        words = list(map(text_of, node.elts))
        if words and all(map(_is_word, words)):
            self.read.update(words)
        self.generic_visit(node)

    def visit_Subscript(self, node: ast.Subscript) -> None:
        if _is_word(word := text_of(node.slice)):
            self.read.add(word)
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        reads = isinstance(node.func, ast.Attribute) and node.func.attr in _READERS
        if reads and node.args and _is_word(word := text_of(node.args[0])):
            self.read.add(word)
        self.generic_visit(node)


_TELLING: Final = ("kind", "event")
_READERS: Final = {"get", "value", "text", "constant", "integer", "octets", "items", "texts", "pop", "short", "count"}


def _is_for_people(path: Path) -> bool:
    """Return whether a module only talks to people: what a command or a simulation prints is no stored word."""
    return not {"cli", "simulation"}.isdisjoint(module_name(path).split("."))


def text_of(node: ast.AST | None) -> str:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def _is_key(text: str) -> bool:
    # What an audit record says of the training process has spaces.
    return bool(re.fullmatch(r"[a-z][a-z0-9_' ]*", text))


def _is_word(text: str) -> bool:
    # Neither variables of the environment nor modules and classes.
    return bool(re.fullmatch(r"[a-z0-9][a-z0-9_.:/-]*", text)) and not text.startswith(tuple(f"{p}." for p in PACKAGES))
