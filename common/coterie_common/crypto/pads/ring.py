# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Products in the ring Z[X]/(X^N + 1) modulo 2^32, N = 2048: exact, by floating-point transforms.

**Elements are stored folded**: number 2m of an array is the coefficient of X^m, number 2m + 1 that of X^(m + N/2).
So the array, seen as N/2 complex numbers, is the element modulo X^(N/2) − i, which together with its conjugate
determines it: X^N + 1 = (X^(N/2) − i)·(X^(N/2) + i). Multiplying number m by e^(iπm/N) turns products modulo
X^(N/2) − i into cyclic ones, which a Fourier transform of N/2 points makes pointwise.

**Why it is exact.** Products are computed in double precision and rounded. In every call, the largest distance to the
nearest integer is checked: beyond 1/4 it is an error. A product that is rounded wrongly is off by more than 1/2; among
the thousands of its call others are then between 1/4 and 1/2, with practical certainty. Measured
distances: 0.0007 for a factor with standard deviation 6.4; 0.125 for the worst known within ±64, all of them ±64 times
an element as extreme; 0.14 for a factor of ±12·6.4·√200 throughout, the largest sum of keys that is accepted.

Not for large factors: the error grows with the factor, and in doubles beyond 2^53 it would no longer show as a
distance. Factors with a number beyond ``MAX_FACTOR`` are refused.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from coterie_common.errors import InternalError, StateError
from coterie_common.secret import Secret

DEGREE: Final = 2048
"""N. The security of the pad depends on it."""

Int32Array = npt.NDArray[np.int32]
UInt32Array = npt.NDArray[np.uint32]
Int64Array = npt.NDArray[np.int64]
_Complex128Array = npt.NDArray[np.complex128]

MAX_FACTOR: Final = 1 << 13
"""With the numbers of a factor within ±2^13, products with uniform elements are some 2^49: their distances show."""

_POINTS: Final = DEGREE // 2
_MAX_DISTANCE: Final = 0.25

_TWIST: Final[_Complex128Array] = np.exp(1j * np.pi / DEGREE * np.arange(_POINTS))
_UNTWIST: Final[_Complex128Array] = _TWIST.conj() / _POINTS


class _Transform(Secret[_Complex128Array]):
    """The Fourier transform of a factor, which reveals as much as the factor."""


class Workspace:
    """Memory for the intermediate results of one thread's products, used again and again.

    Allocating it anew for every call costs as much as the products do when several threads allocate.

    Attributes:
        distance: the largest distance of the last products from their integers, in floating point.
    """

    def __init__(self, elements_most: int) -> None:
        """Allocate for products of this number of elements at a time: 40 KiB each."""
        self.points: Final = np.empty((elements_most, _POINTS), dtype=np.complex128)
        self.integers: Final = np.empty((elements_most, DEGREE), dtype=np.float64)
        self.products: Final = np.empty((elements_most, DEGREE), dtype=np.uint32)
        self.distance = 0.0


class Multiplier:
    """Multiplies many elements by the same factor. May be used from several threads."""

    def __init__(self, factor: Int64Array) -> None:
        """Transform the factor.

        Args:
            factor: Int64[N], folded, numbers within ``MAX_FACTOR``.

        Raises:
            StateError: another shape or type, or a number too large.
        """
        if factor.shape != (DEGREE,) or factor.dtype != np.int64:
            raise StateError(f"a factor must be {DEGREE} int64 numbers, not {factor.dtype} of shape {factor.shape}")
        if factor.max() > MAX_FACTOR or factor.min() < -MAX_FACTOR:
            raise StateError(f"a factor has a number beyond ±{MAX_FACTOR}, too large for exact products")
        points = factor.astype(np.float64).view(np.complex128)
        self._transform: Final = _Transform(_transform(points))

    def multiply(self, elements: Int32Array, workspace: Workspace) -> UInt32Array:
        """Return the products modulo 2^32.

        Args:
            elements: Int32[count, N], folded. Numbers modulo 2^32 in their signed form: centred, they leave double
                precision a bit more room.
            workspace: for at least ``count`` elements, and for this thread alone.

        Returns:
            UInt32[count, N], folded; a view of the workspace, overwritten by its next use.

        Raises:
            InternalError: rounding did not find the integers; impossible with a key of a pad or a sum of some
                thousands, unless the machine computes wrongly.

        Security: where the factor is a key, the workspace holds secrets. Time does not depend on values.
        """
        # Imported here: at start-up it would cost every command a tenth of a second.
        from scipy import fft

        count = len(elements)
        points = workspace.points[:count]
        points.view(np.float64)[:] = elements
        points = _transform(points)
        points *= self._transform.reveal()
        points = fft.ifft(points, norm="forward", overwrite_x=True)
        points *= _UNTWIST
        exact = points.view(np.float64)
        integers = np.rint(exact, out=workspace.integers[:count])
        exact -= integers
        workspace.distance = max(float(exact.max()), -float(exact.min()))
        # Not ``distance > …``: a comparison with a NaN must fail.
        if not workspace.distance <= _MAX_DISTANCE:
            raise InternalError(
                f"a product is {workspace.distance:.2f} from the nearest integer, more than {_MAX_DISTANCE}: "
                "the factor is too large for double precision"
            )
        whole = exact.view(np.int64)  # the same memory: its content is no longer needed
        np.copyto(whole, integers, casting="unsafe")
        products = workspace.products[:count]
        np.copyto(products, whole, casting="unsafe")  # modulo 2^32
        return products


def _transform(points: _Complex128Array) -> _Complex128Array:
    """Transform in place."""
    from scipy import fft

    points *= _TWIST
    return fft.fft(points, overwrite_x=True)
