"""Networks: importing this package registers them in MMDetection's ``MODELS``."""
from .roi_extractor import FP32SingleRoIExtractor
from .shared_stage import SharedRoIStage
from .shuffle_unit import ShuffleUnit, channel_shuffle
from .shufflenet_v1 import ShuffleNetV1

__all__ = [
    'FP32SingleRoIExtractor',
    'SharedRoIStage',
    'ShuffleNetV1',
    'ShuffleUnit',
    'channel_shuffle',
]
