# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Text for people inside messages: one printable line of bounded length, so that no peer can forge log lines.

The sender passes a reason through ``one_line`` before it signs the message; the receiver refuses anything else.
"""

from __future__ import annotations

import re

from coterie_common.limits import CODE_CHARACTERS, REASON_CHARACTERS

_CODE = re.compile(r"[a-z][a-z0-9-]*")


def one_line(text: str) -> str:
    """Return ``text`` with everything unprintable as a space, cut to ``REASON_CHARACTERS``."""
    line = "".join(character if character.isprintable() else " " for character in text[: REASON_CHARACTERS + 1])
    return line if len(line) <= REASON_CHARACTERS else line[: REASON_CHARACTERS - 1] + "…"


def is_one_line(text: str) -> bool:
    """Return true if ``one_line`` would leave ``text`` unchanged."""
    return len(text) <= REASON_CHARACTERS and text.isprintable()


def is_code(text: str) -> bool:
    """Return true if ``text`` has the form of an error code."""
    return len(text) <= CODE_CHARACTERS and _CODE.fullmatch(text) is not None
