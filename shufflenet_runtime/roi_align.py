"""RoIAlign in numpy.

Bilinear interpolation and the average over the samples of a bin are linear and do rows and columns
apart: features of a RoI are ``rows @ map @ columns.T``, with a row of weights for each bin. So the
number of samples does not matter, and the sums are those of matrix multiplication.
"""
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class RoIAlign:
    """Features of boxes, by bilinear sampling and averaging (mmcv's ``RoIAlign``).

    Attributes:
        height, width: number of bins.
        scale: pixels of the map for a pixel of the image.
        sampling_ratio: samples of a bin in each direction; 0 for as many as it has pixels.
        aligned: whether pixels lie half a pixel off their index.
    """

    height: int
    width: int
    scale: float
    sampling_ratio: int
    aligned: bool

    def __call__(
        self, features: np.ndarray, boxes: np.ndarray, out: np.ndarray, places: np.ndarray
    ) -> None:
        """Pool.

        Args:
            features: (H, W, C) of float32.
            boxes: (K, 4) of float32 as x1, y1, x2, y2 in pixels of the image.
            out: (P, C, height, width) of float32, where the results go.
            places: (K,), which of ``out`` belongs to each box.
        """
        map_height, map_width, channels = features.shape
        x1, y1, x2, y2 = boxes.T * np.float32(self.scale)
        rows, tops, bottoms = self._weights(y1, y2, self.height, map_height)
        columns, lefts, rights = self._weights(x1, x2, self.width, map_width)
        lines = features.reshape(map_height, -1)
        for k, (top, bottom, left, right) in enumerate(
            zip(tops, bottoms, lefts, rights, strict=True)
        ):
            part = lines[top:bottom, left * channels : right * channels]
            part = (rows[k, :, top:bottom] @ part).reshape(self.height, -1, channels)
            out[places[k]] = (columns[k, :, left:right] @ part).transpose(2, 0, 1)

    def _weights(
        self, start: np.ndarray, end: np.ndarray, bins: int, size: int
    ) -> tuple[np.ndarray, list[int], list[int]]:
        """Weights of the pixels along one axis.

        Args:
            start, end: (K,), of the boxes in pixels of the map.
            bins: along this axis.
            size: of the map.

        Returns:
            Weights (K, bins, size), and the first pixel and the one behind the last that have any.
        """
        offset = np.float32(0.5 if self.aligned else 0)
        start, end = start - offset, end - offset
        length = end - start
        if not self.aligned:
            length = np.maximum(length, 1)
        step = length / np.float32(bins)
        counts = np.ceil(step).astype(np.int64)
        if self.sampling_ratio > 0:
            counts[:] = self.sampling_ratio
        # (K, bins, samples), where boxes with fewer samples than others have some of no weight
        samples = np.arange(max(1, counts.max(initial=0)))
        share = 1 / np.maximum(counts, 1)
        within = (samples + np.float32(0.5)) * (step * share.astype(np.float32))[:, None]
        place = start[:, None] + np.arange(bins, dtype=np.float32) * step[:, None]
        place = place[:, :, None] + within[:, None]
        used = (samples < counts[:, None])[:, None] & (place >= -1) & (place <= size)
        place = place.clip(0, size - 1)
        low = place.astype(np.int64)
        high = np.minimum(low + 1, size - 1)
        fraction = place - low
        weight = np.where(used, share[:, None, None], 0)
        line = np.arange(low.shape[0] * bins).reshape(-1, bins, 1) * size
        weights = sum(
            np.bincount(
                (line + index).ravel(), (weight * part).ravel(), minlength=line.size * size
            )
            for index, part in ((low, 1 - fraction), (high, fraction))
        )
        first = np.where(used, low, size).min(axis=(1, 2), initial=size)
        last = np.where(used, high, -1).max(axis=(1, 2), initial=-1) + 1
        return (
            weights.reshape(-1, bins, size).astype(np.float32),
            np.minimum(first, last).tolist(),
            last.tolist(),
        )
