# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The training process: ``python -m coterie_party.training CHANNEL MEMORY FOLDERS``, started by ``process`` only.

It confines itself before it imports anything that could start a thread, or code that is not Coterie's own.
"""

from __future__ import annotations

import json
import socket
import sys
from pathlib import Path

from coterie_party.training.confinement import confine


def main() -> None:
    """Confine this process, then serve the party at the other end of the channel until it closes."""
    folders = json.loads(sys.argv[3])
    confinement = confine(int(sys.argv[2]), hidden=[*map(Path, folders["hidden"])], code=[*map(Path, folders["code"])])
    # Only now: what is in a folder of users, such as a sitecustomize, runs confined or not at all.
    sys.path += folders["code"]
    # imported here: not before the process is confined
    from coterie_party.training.frames import Channel
    from coterie_party.training.worker import serve

    serve(Channel(socket.socket(fileno=int(sys.argv[1]))), confinement)


if __name__ == "__main__":
    main()
