# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""A record as one HTML page that can be read and printed anywhere, and that carries the whole record within.

Invariants:
- The page needs no network and runs no script; everything from the record is escaped.
- The same record makes the same page, byte for byte: ``read_record`` notices if the visible words were changed.
"""

from __future__ import annotations

import html
import json
from typing import Final

from coterie_common import document
from coterie_common.audit.entry import Entry
from coterie_common.audit.export import Export
from coterie_common.audit.words import sentence
from coterie_common.errors import MalformedMessage
from coterie_common.fingerprint import printed_fingerprint
from coterie_common.limits import AUDIT_EXPORT_BYTES, AUDIT_EXPORT_PARTS
from coterie_common.shown import shown, shown_json

_START: Final = "<!doctype html>"
_WORDS_LONGEST: Final = 16_000
"""Room for the ids of the maximum number of parties, and some words."""

_RECORD: Final = '<script type="application/json" id="record">'
_RECORD_END: Final = "</script>"

_STYLE: Final = """
:root { color-scheme: light dark; --line: #bbb; --quiet: #666; }
@media (prefers-color-scheme: dark) { :root { --line: #555; --quiet: #aaa; } }
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem; }
h1 { line-height: 1.2; } dt { color: var(--quiet); } dd { margin: 0 0 .5rem; overflow-wrap: anywhere; }
table { border-collapse: collapse; width: 100%; } th { text-align: left; }
th, td { border-bottom: 1px solid var(--line); padding: .4rem .8rem .4rem 0; vertical-align: top; }
td.quiet, summary { color: var(--quiet); } td.quiet { white-space: nowrap; }
code, pre { font-size: .8rem; overflow-wrap: anywhere; white-space: pre-wrap; }
@media print { body { margin: 0; max-width: none; } details { display: none; } tr { break-inside: avoid; } }
"""


def render(export: Export) -> bytes:
    """Return the page of a record, as UTF-8."""
    roster, entries = export.signed_roster.roster, export.entries
    facts = {
        "Party": export.party_id,
        "Federation": f"{roster.federation}, roster {roster.serial}, key epoch {roster.key_epoch}",
        "Founder's fingerprint": printed_fingerprint(export.owner.founder),
        "Entries": f"{len(entries):,}",
        "From": entries[0].time if entries else "-",
        "To": entries[-1].time if entries else "-",
        "Head": str(export.head),
    }
    title = _text(f"Audit record of {export.party_id}")
    parts = (
        f'{_START}\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}</title><style>{_STYLE}</style></head><body>\n<h1>{title}</h1>\n",
        "<p>What this party was asked, what it sent, what it helped to decrypt and what it refused, in the order in "
        "which it happened. Each entry is bound to the one before it and signed with the party's own key, so none can "
        "be altered, taken out or moved without being noticed. No entry contains data of the party: digests, sizes, "
        "names and codes only. Times are those of the party's own clock, in UTC.</p>\n<dl>\n",
        *(f"<dt>{_text(name)}</dt><dd>{_text(value)}</dd>\n" for name, value in facts.items()),
        "</dl>\n<p>To verify this file: <code>coterie-party audit verify --file FILE --founder FINGERPRINT</code>, "
        "with the founder's fingerprint from a source that you trust. The whole record, all signatures and the roster "
        "that verifies them are inside this file.</p>\n",
        "<table><thead><tr><th>Entry</th><th>Time</th><th>Job</th><th>Round</th><th>What happened</th></tr></thead>"
        "<tbody>\n",
        *map(_row, entries),
        "</tbody></table>\n",
        # Only "<" could end a script element; in JSON it occurs in texts only, where it may be escaped.
        _RECORD + export.to_bytes().decode("utf-8").replace("<", "\\u003c") + _RECORD_END,
        "\n</body></html>\n",
    )
    return "".join(parts).encode("utf-8")


def is_record(data: bytes) -> bool:
    """Return true if this looks like an exported record, even a damaged one."""
    return data.startswith(_START.encode("ascii")) or b'"format":"coterie-audit-record"' in data


def read_record(data: bytes) -> Export:
    """Read an exported record, as JSON or as a page, without verifying it.

    Raises:
        MalformedMessage: it is neither, or its visible words are not those of the record inside.
    """
    if not data.startswith(_START.encode("ascii")):
        return Export.from_bytes(data)
    _, _, rest = data.decode("utf-8", "replace").partition(_RECORD)
    text, _, _ = rest.partition(_RECORD_END)
    content = text.encode("utf-8")
    try:
        record = document.parse(content, "the record", maximum=AUDIT_EXPORT_BYTES, parts=AUDIT_EXPORT_PARTS)
        canonical = document.encode(record)
    except (MalformedMessage, ValueError) as cause:
        raise MalformedMessage("the page carries no record, or a damaged one") from cause
    export = Export.from_bytes(canonical)
    if render(export) != data:
        raise MalformedMessage(
            "the page's words are not those of the record inside it: it was altered, or another version wrote it; "
            "have the party export it again, as JSON"
        )
    return export


def _row(entry: Entry) -> str:
    details = json.dumps(entry.facts, indent=1, ensure_ascii=False)
    technical = f"{details}\nprevious  {entry.previous.hex()}\nhash      {entry.hash.hex()}"
    technical += f"\nsignature {entry.signature.hex()}"
    return (
        f'<tr><td class="quiet">{entry.sequence}</td><td class="quiet">{_text(entry.time[:19])}</td>'
        f"<td>{_text(entry.job_id)}</td><td>{entry.round_number or ''}</td>"
        f"<td>{_text(sentence(entry))}<details><summary>details</summary>"
        f"<pre>{_escaped(shown_json(technical))}</pre></details></td></tr>\n"
    )


def _text(words: str) -> str:
    return _escaped(shown(words, _WORDS_LONGEST))


def _escaped(text: str) -> str:
    return html.escape(text)  # of what was ``shown``
