"""What each way to train a unit is given."""
from typing import TYPE_CHECKING, NamedTuple

from torch import Tensor

if TYPE_CHECKING:
    from ..shuffle_unit import ShuffleUnit


class Step(NamedTuple):
    """A unit in a training step.

    Attributes:
        unit: whose settings and statistics are used.
        x: its input (N, C, H, W), channels last.
        parameters: weight, and the norm's weight and bias, of each of its convolutions.
    """

    unit: 'ShuffleUnit'
    x: Tensor
    parameters: tuple[Tensor, ...]

    @property
    def added(self) -> Tensor | None:
        """What is added before the last ReLU: at stride 1 the input."""
        return self.x if self.unit.stride == 1 else None


class Gradient(NamedTuple):
    """What reaches a unit in the backward pass.

    Attributes:
        branch: the gradient of the residual branch, where its last ReLU let the value pass.
        residual: the gradient that reaches the input on the other way, whose memory is used.
        needs_x: whether the gradient of the input is needed.
    """

    branch: Tensor
    residual: Tensor | None
    needs_x: bool
