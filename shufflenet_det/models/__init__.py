"""Networks: importing this package registers them in MMDetection's ``MODELS``."""
from .shared_stage import SharedRoIStage
from .shuffle_unit import ShuffleUnit, channel_shuffle
from .shufflenet_v1 import ShuffleNetV1

__all__ = ['SharedRoIStage', 'ShuffleNetV1', 'ShuffleUnit', 'channel_shuffle']
