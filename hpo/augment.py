"""Small random movements of images, the same arithmetic for each library."""

from __future__ import annotations

import math
from typing import Any

# What an augment_strength of 1 means at most: of the side, in radians, of the size.
SHIFT, ROTATE, ZOOM = 0.1, math.pi / 18, 0.1


def transforms(library: Any, draws: Any, side: int) -> Any:
    """Make projective transforms that shift, rotate and zoom each image by its own amounts.

    Args:
        library: numpy or tensorflow, whose arrays come in and go out.
        draws: of shape (5, n); 1 is the most that a strength of 1 moves.

    Returns:
        Shape (n, 8), as keras.ops.image.affine_transform takes them: output (x, y) is taken from
        input (a x + b y + c, d x + e y + f), here about the image's middle.
    """
    angle = draws[0] * ROTATE
    scale_x, scale_y = 1 + draws[1] * ZOOM, 1 + draws[2] * ZOOM
    cos, sin = library.cos(angle), library.sin(angle)
    middle = (side - 1) / 2
    a, b, d, e = scale_x * cos, -scale_x * sin, scale_y * sin, scale_y * cos
    c = middle - a * middle - b * middle + draws[3] * (SHIFT * side)
    f = middle - d * middle - e * middle + draws[4] * (SHIFT * side)
    zero = library.zeros_like(a)
    return library.stack([a, b, c, d, e, f, zero, zero], axis=1)
