# Faster R-CNN with a feature pyramid on MobileNet v1. SHUFFLENET_PRETRAINED names an ImageNet
# checkpoint of MobileNet here.
_base_ = './faster-rcnn_shufflenet-v1_fpn.py'
from shufflenet_det.models.mobilenet_v1 import mobilenet_v1_widths  # noqa: E402

widths = mobilenet_v1_widths(1.0)

model = dict(
    backbone=dict(
        _delete_=True,
        type='MobileNetV1',
        widen_factor=1.0,
        out_indices=(0, 1, 2, 3),
        norm_eval=_base_.model.backbone.norm_eval,
        init_cfg=_base_.model.backbone.init_cfg,
    ),
    neck=dict(in_channels=widths),
)
