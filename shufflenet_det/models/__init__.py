"""Networks: importing this package registers them in MMDetection's ``MODELS``."""
from .classifier import ClassifierPreprocessor, ImageClassifier, LinearHead, OriginalHead
from .comparison_nets import ResNetLike, ResNeXtLike, VGGLike, XceptionLike
from .deploy import DeployConv2d, switch_to_deploy
from .extra_levels import ExtraLevels
from .light_fpn import LightFPN
from .light_rpn import LightRPNHead
from .mobilenet_v1 import MobileNetV1
from .roi_extractor import FP32SingleRoIExtractor
from .shared_stage import SharedRoIStage
from .shuffle_unit import ShuffleUnit, channel_shuffle
from .shufflenet_v1 import ShuffleNetV1
from .staged import StagedBackbone, backbones
from .torchvision_nets import VGG16, AlexNet, GoogLeNet, SqueezeNet

__all__ = [
    'AlexNet',
    'ClassifierPreprocessor',
    'DeployConv2d',
    'ExtraLevels',
    'FP32SingleRoIExtractor',
    'GoogLeNet',
    'ImageClassifier',
    'LightFPN',
    'LightRPNHead',
    'LinearHead',
    'MobileNetV1',
    'OriginalHead',
    'ResNeXtLike',
    'ResNetLike',
    'SharedRoIStage',
    'ShuffleNetV1',
    'ShuffleUnit',
    'SqueezeNet',
    'StagedBackbone',
    'VGG16',
    'VGGLike',
    'XceptionLike',
    'backbones',
    'channel_shuffle',
    'switch_to_deploy',
]
