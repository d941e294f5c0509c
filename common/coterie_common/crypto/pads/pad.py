# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""A pad for long vectors from a short key, by ring learning with errors. Covered vectors and keys add up alike.

Block j of a vector, N = 2048 values modulo 2^32, is covered with a_j ⊛ k + e_j. The public a_j are expanded from the
session id (``pad_expansion``). The key k is drawn from the discrete Gaussian with σ = 6.4, within ±64. So is the error
e_j (``narrow_gaussian``), unless the vector brings its own: a noise share that is a wide enough discrete Gaussian. All
parties of a session have the same a_j, so Σ covered − a_j ⊛ Σk is the sum of vectors and errors. Of the keys only Σk is
ever opened, by threshold decryption.

Invariants, on which the security of the pad rests (docs/pad.md has the argument and all its conditions):

- A key covers at most one value per position of one session. ``OneTimePad`` draws it and moves forward only;
  nothing here covers values with a key from outside.
- The key leaves a ``OneTimePad`` once: to be encrypted, or to be masked, and never both. It has another type for each.
- ``SummedPad`` never uncovers with a key sum that honest keys cannot have.

Not here: encrypting the key (``packing``, ``paillier``), and keeping values within 32 bits (capacity is computed before
a job starts).

Source: pads that are homomorphic in their key, encrypted under another scheme: Bell-Clark et al., "Willow", ePrint
2024/936; noise for privacy as the error: Stevens et al., USENIX Security 2022.
Deviation: the key is under threshold Damgård–Jurik encryption and the modulus is 2^32.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from threading import Lock
from typing import Final, NoReturn

import numpy as np

from coterie_common.crypto.packing import Packing
from coterie_common.crypto.pads.expansion import PublicElements
from coterie_common.crypto.pads.narrow_gaussian import VARIANCE, narrow_gaussian
from coterie_common.crypto.pads.ring import DEGREE, Int64Array, Multiplier, UInt32Array, Workspace
from coterie_common.errors import InvalidPadKey, StateError
from coterie_common.randomness import RandomSource
from coterie_common.secret import Secret

KEY_BOUND: Final = 64
"""Numbers of a key are within ±10σ: a key is redrawn once in 2^64, and a slot of its sum has bits(128·n)."""

ERROR_BOUND: Final = 96
"""Errors are within ±15σ: unlike keys there are up to 10^8 of them in a round, and cutting costs nothing."""

ERROR_FREE_VARIANCE: Final = Fraction(64**2)
"""A discrete Gaussian noise share of this parameter or a larger one is itself the error of the pad."""

_SUM_DEVIATIONS: Final = 12
"""Honest keys give a number of Σk beyond this many standard deviations once in 2^90 rounds."""

_GROUP_BLOCKS: Final = 32
_GROUP_VALUES: Final = _GROUP_BLOCKS * DEGREE
"""Values at a time: 65,536, whose intermediate results, 1.5 MiB for each thread, stay in the cache."""

_THREADS: Final = 2
_THREADED_GROUPS: Final = 8
"""From this number of groups on, two threads pay off: below it, the work takes a few milliseconds."""


class PadKey(Secret[Int64Array]):
    """The key k of one vector's pad, Int64[N], folded, to be encrypted: with it, anyone uncovers the vector."""


class MaskablePadKey(Secret[Int64Array]):
    """The key k of one vector's pad, Int64[N], folded, to be masked; no ``PadKey``, and never made of one."""


class OneTimePad:
    """The pad of one party's one vector in one session. Cannot be copied, pickled or used again.

    Draws its own key and covers the vector from its beginning to its end, in one or more pieces; then the key is
    discarded.
    """

    def __init__(self, session_id: bytes, length: int, random: RandomSource, *, draw_error: bool) -> None:
        """Draw the key.

        Args:
            session_id: determines the public elements.
            length: of the vector, at least 1.
            random: source of key and errors.
            draw_error: true to draw e_j. It may be left out only if the values carry a discrete Gaussian noise share of
                variance ``ERROR_FREE_VARIANCE`` or more.

        Privacy: no second vector is covered with this key, regardless of what the caller does.
        """
        if length < 1:
            raise StateError("a pad needs a vector of at least one value")
        key = narrow_gaussian(KEY_BOUND).draw(DEGREE, random).astype(np.int64)
        self._key: tuple[PadKey, MaskablePadKey] | None = PadKey(key), MaskablePadKey(key)
        self._engine: _Engine | None = _Engine(session_id, key)
        self._random: Final = random
        self._errors: Final = narrow_gaussian(ERROR_BOUND) if draw_error else None
        self._length: Final = length
        self._covered = 0
        self._lock: Final = Lock()

    def __reduce__(self) -> NoReturn:
        raise TypeError("a one-time pad cannot be pickled or copied")

    def take_key(self) -> PadKey:
        """Hand the key out, once, for encryption.

        Raises:
            StateError: it was taken before, to be encrypted or masked.
        """
        return self._take()[0]

    def take_maskable_key(self) -> MaskablePadKey:
        """Hand the key out, once, to be masked; as ``take_key``."""
        return self._take()[1]

    def _take(self) -> tuple[PadKey, MaskablePadKey]:
        with self._lock:
            key, self._key = self._key, None
        if key is None:
            raise StateError("the key of a one-time pad was taken before")
        return key

    def cover(self, values: Int64Array) -> UInt32Array:
        """Cover the next values of the vector.

        Args:
            values: Int64[count], taken modulo 2^32; a multiple of N of them, or all that are left.

        Returns:
            UInt32[count].

        Raises:
            StateError: more values than the vector has, or a piece that ends within a block.

        Privacy: a piece that failed to be covered is used up like any other.
        """
        if values.ndim != 1 or values.dtype != np.int64:
            raise StateError(f"a pad covers int64 vectors, not {values.dtype} of shape {values.shape}")
        engine, first_block = self._claim(len(values))
        covered = np.empty(len(values), dtype=np.uint32)

        def add(piece: slice, pads: UInt32Array) -> None:
            np.copyto(covered[piece], values[piece], casting="unsafe")  # modulo 2^32
            covered[piece] += pads

        engine.run(first_block, len(values), add)
        if self._errors:
            # In this thread only, so that draws have an order.
            for start in range(0, len(values), _GROUP_VALUES):
                part = covered[start : start + _GROUP_VALUES]
                part += self._errors.draw(len(part), self._random).astype(np.uint32)
        return covered

    def _claim(self, count: int) -> tuple[_Engine, int]:
        """Use up the next ``count`` positions, and return their cover and the number of their first block."""
        with self._lock:
            first, end = self._covered, self._covered + count
            engine = self._engine
            if engine is None or count < 1 or end > self._length:
                raise StateError(
                    f"a one-time pad for {self._length} values cannot cover values {first} to {end}: "
                    "every position is covered once"
                )
            if end % DEGREE and end != self._length:
                raise StateError(f"a piece of a vector ends at value {end}, within a block of {DEGREE}")
            self._covered = end
            if end == self._length:
                self._engine = None
        return engine, first // DEGREE


class SummedPad:
    """The sum of the pads of one session's contributors, to be taken off the sum of their covered vectors."""

    def __init__(self, session_id: bytes, key_sum: Int64Array, contributors: int) -> None:
        """Check the sum of the keys.

        Args:
            session_id: of the contributors' pads.
            key_sum: Int64[N], the opened Σk.
            contributors: the number of keys in it, 1 or more.

        Raises:
            InvalidPadKey: a number exceeds 12σ·√contributors: a contributor encrypted something other than a key. The
                sum cannot be uncovered, and the contributor is unknown.
        """
        # In integers without bounds: −2^63 has no negation in 64 bits.
        if max(int(key_sum.max()), -int(key_sum.min())) ** 2 > _SUM_DEVIATIONS**2 * VARIANCE * contributors:
            raise InvalidPadKey(
                f"the sum of the pad keys of {contributors} contributors has a number beyond "
                f"{_SUM_DEVIATIONS} standard deviations: what one of them encrypted is no pad key"
            )
        self._engine: Final = _Engine(session_id, key_sum)

    def uncover(self, total: UInt32Array, first: int = 0) -> Int64Array:
        """Return the sum of vectors and errors, for all values or any piece that begins with a block.

        Args:
            total: UInt32[count], sum of covered vectors modulo 2^32.
            first: number of its first value in the vector, a multiple of N.

        Returns:
            Int64[count], within ±2^31: the representatives modulo 2^32.

        Raises:
            StateError: the piece begins within a block.
        """
        if first % DEGREE or total.ndim != 1 or total.dtype != np.uint32:
            raise StateError(
                f"cannot uncover {total.dtype} numbers of shape {total.shape} from value {first} on: "
                f"a vector of uint32 is needed that begins with a block of {DEGREE}"
            )
        uncovered = np.empty(len(total), dtype=np.int64)

        def subtract(piece: slice, pads: UInt32Array) -> None:
            np.subtract(total[piece], pads, out=pads)
            uncovered[piece] = pads.view(np.int32)

        self._engine.run(first // DEGREE, len(total), subtract)
        return uncovered


def add_covered(total: UInt32Array, covered: UInt32Array) -> None:
    """Add a covered vector to ``total``, in place, modulo 2^32.

    Raises:
        StateError: another length or type.
    """
    if total.shape != covered.shape or total.dtype != np.uint32 or covered.dtype != np.uint32:
        raise StateError(f"covered vectors of shapes {total.shape} and {covered.shape} cannot be added")
    np.add(total, covered, out=total)


def key_packing(max_contributors: int, plaintext_bits: int) -> Packing:
    """Return the packing of a pad's key into plaintexts: slots of bits(128·n), without guard.

    Args:
        max_contributors: n, the maximum number of keys in a sum.
        plaintext_bits: usable bits of one plaintext.

    Raises:
        CapacityExceeded: a slot does not fit a plaintext.
    """
    return Packing(
        length=DEGREE,
        lower=-KEY_BOUND,
        upper=KEY_BOUND,
        max_contributors=max_contributors,
        plaintext_bits=plaintext_bits,
    )


class _Engine:
    """Computes a_j ⊛ factor and hands it on, a group of blocks at a time."""

    def __init__(self, session_id: bytes, factor: Int64Array) -> None:
        self._elements: Final = PublicElements(session_id)
        self._multiplier: Final = Multiplier(factor)

    def run(self, first_block: int, values: int, use: Callable[[slice, UInt32Array], None]) -> None:
        """Call ``use`` with each piece of ``values`` values from a block on, and its pad modulo 2^32.

        For long vectors two threads call it, for different pieces.
        """
        starts = range(0, values, _GROUP_VALUES)

        def work(mine: range) -> None:
            elements = np.empty((_GROUP_BLOCKS, DEGREE), dtype=np.int32)
            workspace = Workspace(_GROUP_BLOCKS)
            for start in mine:
                piece = slice(start, min(start + _GROUP_VALUES, values))
                group = elements[: -(-(piece.stop - start) // DEGREE)]
                self._elements.expand(first_block + start // DEGREE, group)
                pads = self._multiplier.multiply(group, workspace).reshape(-1)
                use(piece, pads[: piece.stop - start])

        if len(starts) < _THREADED_GROUPS:
            work(starts)
            return
        with ThreadPoolExecutor(max_workers=_THREADS, thread_name_prefix="pad") as threads:
            # Consuming the results raises any exception of a thread.
            list(threads.map(work, [starts[number::_THREADS] for number in range(_THREADS)]))
