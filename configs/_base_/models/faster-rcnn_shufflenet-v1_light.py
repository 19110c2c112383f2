# Faster R-CNN whose neck, RPN and RoI head are sized for ShuffleNet instead of ResNet-50
# (docs/light-detector.md).
_base_ = './faster-rcnn_shufflenet-v1_fpn.py'
channels = 64
strides = [8, 16, 32]

model = dict(
    backbone=dict(out_indices=(1, 2, 3)),
    neck=dict(
        _delete_=True,
        type='LightFPN',
        in_channels=[240, 480, 960],
        out_channels=channels,
        norm_cfg=dict(type='BN'),
    ),
    # 32 to 512 pixels in six steps, each size on one level
    rpn_head=dict(
        type='LightRPNHead',
        in_channels=channels,
        feat_channels=channels,
        anchor_generator=dict(
            _delete_=True,
            type='AnchorGenerator',
            base_sizes=[32, 97, 294],
            scales=[1, 1.74],
            ratios=[0.5, 1.0, 2.0],
            strides=strides,
        ),
    ),
    roi_head=dict(
        bbox_roi_extractor=dict(
            roi_layer=dict(output_size=7, sampling_ratio=2),
            out_channels=channels,
            featmap_strides=strides,
        ),
        bbox_head=dict(
            type='ConvFCBBoxHead', num_shared_fcs=1, in_channels=channels, fc_out_channels=256
        ),
    ),
    train_cfg=dict(rpn_proposal=dict(nms_pre=1000, max_per_img=500)),
    test_cfg=dict(rpn=dict(nms_pre=200, max_per_img=100)),
)
