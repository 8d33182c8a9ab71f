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


def moved(library: Any, images: Any, by: Any) -> Any:
    """Move images as `transforms` says: bilinear, 0 beyond an edge; all in a few large steps.

    Keras's own does the same for PyTorch image after image, which keeps a GPU waiting.

    Args:
        library: keras.ops, whose arrays come out.
        images: of shape (n, side, side).
        by: of shape (n, 8), from `transforms`.
    """
    n, side, _ = images.shape
    steps = library.arange(side, dtype="float32")
    grid = library.meshgrid(steps, steps, indexing="ij")
    y, x = (library.reshape(each, (1, -1)) for each in grid)
    by = library.convert_to_tensor(by)
    a, b, c, d, e, f = (by[:, i : i + 1] for i in range(6))
    from_x, from_y = a * x + b * y + c, d * x + e * y + f
    left, top = library.floor(from_x), library.floor(from_y)
    right_part, low_part = from_x - left, from_y - top
    edged = library.pad(library.convert_to_tensor(images), [(0, 0), (1, 1), (1, 1)])
    pixels, width = library.reshape(edged, (n, -1)), side + 2

    def at(row: Any, column: Any) -> Any:
        place = library.clip(row, -1, side) * width + library.clip(column, -1, side) + width + 1
        return library.take_along_axis(pixels, library.cast(place, "int32"), axis=1)

    def across(row: Any) -> Any:
        return (1 - right_part) * at(row, left) + right_part * at(row, left + 1)

    total = (1 - low_part) * across(top) + low_part * across(top + 1)
    return library.reshape(total, (n, side, side))
