"""Adaptive average pooling for export, for images of one size."""
import torch
from torch import Tensor, nn

Size = tuple[int, int]


class AveragePool(nn.Module):
    """``nn.AdaptiveAvgPool2d`` for maps of one size, as two matrix products.

    ONNX has no adaptive pooling, and its average pooling is the same only where the map's sides are
    multiples of the result's.

    Args:
        size: height and width of the maps.
        bins: height and width of the result.
    """

    def __init__(self, size: Size, bins: Size) -> None:
        super().__init__()
        rows, columns = (_averages(*pair) for pair in zip(size, bins, strict=True))
        self.register_buffer('rows', rows)
        self.register_buffer('columns', columns.T.contiguous())

    def forward(self, x: Tensor) -> Tensor:
        """Maps (N, C, *size) to (N, C, *bins)."""
        return self.rows @ x @ self.columns


def _averages(size: int, bins: int) -> Tensor:
    """(bins, size): row b averages the cells of bin b, whose ends are rounded outwards."""
    weights = torch.zeros(bins, size)
    for number in range(bins):
        start, end = number * size // bins, -(-(number + 1) * size // bins)
        weights[number, start:end] = 1 / (end - start)
    return weights


def fix_pooling(model: nn.Module, size: Size) -> None:
    """Put :class:`AveragePool` in the place of poolings that depend on the size of the image."""
    seen: dict[str, Size] = {}
    chosen = {
        path: layer
        for path, layer in model.named_modules()
        if isinstance(layer, nn.AdaptiveAvgPool2d) and layer.output_size not in (1, (1, 1))
    }
    hooks = [
        layer.register_forward_pre_hook(
            lambda _, args, path=path: seen.update({path: tuple(args[0].shape[2:])})
        )
        for path, layer in chosen.items()
    ]
    with torch.no_grad():
        model(torch.zeros(1, 3, *size))
    for hook in hooks:
        hook.remove()
    for path, found in seen.items():
        model.set_submodule(path, AveragePool(found, chosen[path].output_size))
