# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The commands that README.md, docs/ and the comments of the job files tell people to type."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tests.support.repository import ROOT

NOT_RUN = {
    "scripts/demo": "tests/e2e/test_demo.py runs it, smaller",
    "scripts/example": "tests/e2e/test_examples.py runs it, with fewer rounds",
    "scripts/testbed": "tests/e2e/test_testbed.py runs it where there is a container engine",
    "scripts/test": "runs the tests themselves",
    "scripts/bench": "tests/e2e/test_benchmark_rounds.py runs its rounds; the whole takes minutes",
    "scripts/evaluate": "tests/unit/evaluation runs its parts; the whole takes hours",
    "docker": "needs a container engine: tests/e2e/test_testbed.py",
    "/opt/coterie/bin/python": "looks at a package that is installed from the network",
    "python3": "makes a virtual environment outside the test's folders",
    "/opt/coterie/bin/pip": "installs packages",
    "pip": "installs packages",
    "useradd": "changes the system's users",
    "install": "writes into the system's folders",
    "ln": "writes into the system's folders",
    "nft": "changes the system's firewall",
    "systemctl": "needs systemd as the system's first process",
    "journalctl": "needs systemd as the system's first process",
}
"""First words of the commands that no test can run, with the reason or the test that runs them otherwise."""

PLACEHOLDERS = (
    (r"uktb-chq6-…|e5pu-zugb-pj5z-cl7u-mcvg-bw3j-ipq7-n34g-s|\bFINGERPRINT\b", "{fingerprint}"),
    (r"aggregator\.example\.org:8443", "localhost:{port}"),
    (r"aggregator\.example\.org", "localhost"),
    (r"nursery-tree-1a2b3c4d|\bID\b", "{job}"),
    (r"^(coterie found .*)--parties \d", r"\1--parties 5 --key-bits 2048"),  # one federation; a small key is soon made
    (r"^(coterie-\S+ .*)\bhospital-1\b", r"\1{who}"),  # each party in its own name
    (r"/var/lib/coterie", "{home}"),
    (r"^\.venv/bin/", ""),  # the same programs, wherever these tests' Python has them
    (r"--seeds 20", "--seeds 1"),  # twenty divisions take a minute
)
"""What stands for something of one's own in the pages, and what is put in."""

_BLOCK = re.compile(r"^[ ]*```(?:console|sh|bash)\n(.*?)^[ ]*```$", re.M | re.S)
_PROMPT = re.compile(r"^(?:\w+\s*)?\$ ")
_COMMENT = re.compile(r"(?:^|\s{2,})#.*$")
_OF_A_JOB_FILE = re.compile(r"(?:[Ss]ubmit with|first): (coterie .*)$", re.M)


def documented() -> Iterator[tuple[str, str]]:
    """Yield page and command in the order of the page, with prompts, comments and line breaks taken away."""
    for page in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))):
        for block in _BLOCK.findall(page.read_text()):
            for line in block.replace("\\\n", " ").splitlines():
                bare = _COMMENT.sub("", _PROMPT.sub("", line.strip())).strip()
                yield from ((page.name, " ".join(command.split())) for command in bare.split(" && ") if command)
    for job in sorted((ROOT / "examples/jobs").glob("*.toml")):
        for command in _OF_A_JOB_FILE.findall(job.read_text()):
            yield job.name, command


def by_invitation() -> list[str]:
    """Return the commands of founding by invitation in their order: tests/e2e/test_invitations.py runs these."""
    text = (ROOT / "docs/founding.md").read_text()
    section = text[text.index("## By invitation") : text.index("## With files")]
    lines = (line for block in _BLOCK.findall(section) for line in block.replace("\\\n", " ").splitlines())
    return [" ".join(line.split()) for line in lines]


def meaning(command: str) -> str:
    """Return a command with the names of what is to be put in; pages that say the same in other words agree here."""
    for written, meant in PLACEHOLDERS:
        command = re.sub(written, meant, command)
    return command


def block_after(page: str, words: str) -> str:
    """Return the block of a page that follows the given words, such as a file to be written."""
    text = (ROOT / page).read_text()
    found = re.compile(r"```\w+\n(.*?)^```$", re.M | re.S).search(text, text.index(words))
    assert found is not None
    return found[1]
