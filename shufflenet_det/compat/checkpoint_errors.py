"""What can be wrong with a checkpoint, as errors whose message names the file and the remedy."""
from shufflenet_det.common.errors import ShuffleNetDetError


class CheckpointError(ShuffleNetDetError, RuntimeError):
    """A checkpoint cannot be read, or does not fit the model."""


class UnsafeCheckpointError(CheckpointError):
    """A checkpoint asks for more than weights and plain values: loading it could run code."""


class CheckpointNotFoundError(CheckpointError, FileNotFoundError):
    """There is no file of this name. A ``FileNotFoundError`` too, which is what mmengine raises."""

    # OSError would print its own fields, which are empty here
    __str__ = Exception.__str__
