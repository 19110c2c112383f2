# Faster R-CNN whose neck, RPN and RoI head are sized for ShuffleNet instead of ResNet-50
# (docs/light-detector.md).
_base_ = './faster-rcnn_shufflenet-v1_fpn.py'
channels = 96
strides = [8, 16, 32]
# batch norms are trained, those of the neck and pretrained ones: with the statistics of ImageNet
# values grew a hundredfold under AdamW (docs/light-trials.md)
keep_statistics = False

model = dict(
    backbone=dict(out_indices=(1, 2, 3), norm_eval=keep_statistics),
    neck=dict(
        _delete_=True,
        type='LightFPN',
        in_channels=_base_.widths[1:],
        out_channels=channels,
        norm_cfg=dict(type='BN'),
    ),
    # 32 to 512 pixels, on every level the same multiples of the stride: levels share the RPN's
    # weights, so an object of as many places must get the same deltas on each.
    rpn_head=dict(
        type='LightRPNHead',
        in_channels=channels,
        feat_channels=channels,
        anchor_generator=dict(
            _delete_=True,
            type='AnchorGenerator',
            scales=[4, 8, 16],
            ratios=[0.5, 1.0, 2.0],
            strides=strides,
        ),
    ),
    roi_head=dict(
        bbox_roi_extractor=dict(
            roi_layer=dict(output_size=7, sampling_ratio=2),
            out_channels=channels,
            featmap_strides=strides,
            finest_scale=112,  # from 112 pixels on the levels that FPN takes
        ),
        bbox_head=dict(
            type='ConvFCBBoxHead',
            num_shared_fcs=1,
            in_channels=channels,
            fc_out_channels=512,
            reg_class_agnostic=True,
        ),
    ),
    train_cfg=dict(rpn_proposal=dict(nms_pre=1000, max_per_img=500)),
    test_cfg=dict(rpn=dict(nms_pre=200, max_per_img=100)),
)
small_data_rate = 0.005  # of AdamW for 8 images a step, where tools/prepare_data.py inherits this
