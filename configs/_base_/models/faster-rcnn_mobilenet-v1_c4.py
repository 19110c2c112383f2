# The detector of Table 7 with MobileNet v1: RPN and RoIAlign on stride 16, the last two units as
# head of each RoI. SHUFFLENET_PRETRAINED names an ImageNet checkpoint of MobileNet here.
_base_ = './faster-rcnn_shufflenet-v1_c4.py'
from shufflenet_det.models.mobilenet_v1 import mobilenet_v1_widths  # noqa: E402

widths = mobilenet_v1_widths(1.0)

model = dict(
    backbone=dict(
        _delete_=True,
        type='MobileNetV1',
        widen_factor=1.0,
        out_indices=(2,),
        norm_eval=_base_.model.backbone.norm_eval,
        init_cfg=_base_.model.backbone.init_cfg,
    ),
    rpn_head=dict(in_channels=widths[2], feat_channels=widths[2] // 2),
    roi_head=dict(
        shared_head=dict(backbone=dict(_delete_=True, type='MobileNetV1', widen_factor=1.0)),
        bbox_roi_extractor=dict(out_channels=widths[2]),
        bbox_head=dict(in_channels=widths[3]),
    ),
)
