# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Peak memory of sealing, and of adding and opening: each in a process of its own, nothing left out.

``python -m coterie_lab.benchmarks.memory party|aggregator VALUES PARTIES KEY_BITS FOLDER`` does the work of one round
and prints the MiB. The vector comes from a file and goes to one, as between a party and its training process.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, Final

import numpy as np

from coterie_common.privacy.strips import Int64Array
from coterie_common.protocol.encrypted_reply import KeyPart
from coterie_common.protocol.padded_part import VALUE_BYTES
from coterie_common.randomness import OsRandom
from coterie_lab.benchmarks.primitives import CONTRIBUTORS
from coterie_lab.benchmarks.rows import Measured, measured
from coterie_lab.benchmarks.whole_rounds.environment import environment
from coterie_lab.benchmarks.workload import PARTY, SESSION, Workload

_PIECE_VALUES: Final = 1 << 18
_PIECE_BYTES: Final = 1 << 20
_UPDATE, _PADDED, _KEY_PART, _OPENED = "update.f32", "padded.bin", "key-part.json", "opened.i64"


class MemoryNotMeasured(Exception):
    """The process that was to be measured failed; its words are in the text."""


def measure_memory(workload: Workload, folder: Path) -> Iterator[Measured]:
    """Measure a party, then the aggregator with what the party sealed; files go to ``folder``.

    Raises:
        MemoryNotMeasured: a process failed.
    """
    _write_update(workload, folder / _UPDATE)
    for who in ("party", "aggregator"):
        command = [sys.executable, "-m", "coterie_lab.benchmarks.memory", who]
        command += [str(workload.values), str(workload.parties), str(workload.key_bits), str(folder)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment())
        if done.returncode:
            raise MemoryNotMeasured(f"{who} with {workload.values} values: {done.stderr.strip()[-500:]}")
        yield measured(f"peak_memory_{who}", workload.values, workload.parties, [float(done.stdout)])
    for name in (_UPDATE, _PADDED, _KEY_PART, _OPENED):
        (folder / name).unlink()


def _write_update(workload: Workload, path: Path) -> None:
    with path.open("wb") as file:
        for start in range(0, workload.values, _PIECE_VALUES):
            positions = np.arange(start, min(start + _PIECE_VALUES, workload.values), dtype=np.float64)
            file.write((np.cos(positions) / np.sqrt(workload.values)).astype("<f4").tobytes())


def _party(workload: Workload, folder: Path) -> None:
    """Encode, add noise, seal: the update is in memory as a whole, the results are made piece by piece."""
    random = OsRandom()
    sealing = workload.sealing(workload.noise)
    update = np.fromfile(folder / _UPDATE, dtype="<f4")[np.newaxis]

    def noised() -> Iterator[Int64Array]:
        for block in workload.encoding.encode_blocks(update, random):
            yield block + workload.noise.draw_share(len(block), random)

    with (folder / _PADDED).open("wb") as file:
        key_part, _ = sealing.seal_pieces(noised(), SESSION, PARTY, random, lambda piece: _write(file, piece))
    document = {"ciphertexts": [one.hex() for one in key_part.ciphertexts], "proof": key_part.proof.hex()}
    (folder / _KEY_PART).write_text(json.dumps(document))


def _write(file: BinaryIO, piece: bytes) -> None:
    file.write(piece)


def _aggregator(workload: Workload, folder: Path) -> None:
    """Add padded parts from their files, then open the sum. Their number makes no difference to memory."""
    sealing = workload.sealing(workload.noise)
    document = json.loads((folder / _KEY_PART).read_text())
    key_part = KeyPart(
        ciphertexts=tuple(map(bytes.fromhex, document["ciphertexts"])), proof=bytes.fromhex(document["proof"])
    )
    ciphertexts = sealing.check_ciphertexts(key_part)
    total = sealing.new_padded_sum(SESSION)
    for _ in range(CONTRIBUTORS):
        with (folder / _PADDED).open("rb") as file:
            first = 0
            while piece := file.read(_PIECE_BYTES):
                total.add(piece, first)
                first += len(piece) // VALUE_BYTES
    plaintexts = workload.decrypt(sealing.add([ciphertexts] * CONTRIBUTORS))
    with (folder / _OPENED).open("wb") as opened:
        for values in sealing.open_pieces(plaintexts, CONTRIBUTORS, total):
            opened.write(values.tobytes())


_WORK: Final[dict[str, Callable[[Workload, Path], None]]] = {"party": _party, "aggregator": _aggregator}


def main(arguments: list[str]) -> None:
    """Do one side's work, and print the process's peak memory in MiB."""
    who, values, parties, key_bits, folder = arguments
    _WORK[who](Workload(int(values), int(parties), int(key_bits)), Path(folder))
    print(peak_mib())


def peak_mib() -> float:
    """Return the peak memory of this process, in MiB."""
    status = Path("/proc/self/status")
    if status.exists():
        # Not getrusage: on Linux that begins with what the process had from which this one was forked.
        kib = next(line.split()[1] for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(kib) / (1 << 10)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20)


if __name__ == "__main__":
    main(sys.argv[1:])
