"""Networks: importing this package registers them in MMDetection's ``MODELS``.

It imports all its modules, so the network of a new one is registered without a line here.
"""
from importlib import import_module
from pkgutil import iter_modules

from .classifier import ClassifierPreprocessor, ImageClassifier, LinearHead, OriginalHead
from .comparison_nets import ResNetLike, ResNeXtLike, VGGLike, XceptionLike
from .deploy import DeployConv2d, switch_to_deploy
from .extra_levels import ExtraLevels
from .light_fpn import LightFPN
from .light_head import LightRTMDetHead
from .light_rpn import LightRPNHead
from .mobilenet_v1 import MobileNetV1
from .roi_extractor import FP32SingleRoIExtractor
from .shared_stage import SharedRoIStage
from .shuffle_unit import ShuffleUnit, channel_shuffle
from .shufflenet_v1 import ShuffleNetV1
from .staged import StagedBackbone, backbones
from .torchvision_nets import VGG16, AlexNet, GoogLeNet, SqueezeNet

# in alphabetical order, whatever the file system
for _module in iter_modules(__path__):
    import_module(f'.{_module.name}', __name__)

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
    'LightRTMDetHead',
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
