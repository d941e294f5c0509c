# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The training process: ``python -m coterie_party.training CHANNEL MEMORY``, started by ``process`` and by nobody else.

It confines itself before it imports anything that could start a thread, or code that is not Coterie's own.
"""

from __future__ import annotations

import socket
import sys

from coterie_party.training.confinement import confine


def main() -> None:
    """Confine this process, then serve the party at the other end of the channel until it closes."""
    is_isolated = confine(int(sys.argv[2]))
    # imported here: not before the process is confined
    from coterie_party.training.frames import Channel
    from coterie_party.training.worker import serve

    serve(Channel(socket.socket(fileno=int(sys.argv[1]))), is_isolated)


if __name__ == "__main__":
    main()
