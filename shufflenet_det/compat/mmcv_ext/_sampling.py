"""Reading many small windows of a feature map at once."""

from torch import Tensor

# Values gathered at a time: 64 MiB in float32.
_BUDGET = 1 << 24


def chunks(items: Tensor, values_per_item: int) -> tuple[Tensor, ...]:
    """Split ``items`` into parts that together gather no more values than memory should hold."""
    return items.split(max(1, _BUDGET // max(1, values_per_item)))


def gather_pixels(features: Tensor, images: Tensor, pixels: Tensor) -> Tensor:
    """Read all channels of some pixels.

    Args:
        features: [N, C, H, W].
        images: index of the image each of K windows is read from, [K], any type.
        pixels: row * W + column of each pixel read, [K, ...].

    Returns:
        [K, ..., C].
    """
    planes = features.flatten(2)
    return planes[images.long()[:, None], :, pixels.flatten(1)].unflatten(1, pixels.shape[1:])
