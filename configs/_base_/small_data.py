# What few images change in the configs for COCO, as variables: configs/sample/ and the configs that
# tools/prepare_data.py writes choose from them.
# fewer proposals and RoIs: on two cores a step takes a third of the time
small_two_stage = dict(
    train_cfg=dict(
        rpn_proposal=dict(nms_pre=1000, max_per_img=300),
        rcnn=dict(sampler=dict(num=32, pos_fraction=0.5)),
    ),
    test_cfg=dict(rpn=dict(nms_pre=1000, max_per_img=100)),
)
# AdamW, because a few hundred steps from scratch are too few for SGD
small_optim_wrapper = dict(
    _delete_=True,
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=0.005, weight_decay=1e-4),
    clip_grad=dict(max_norm=10),
)
small_auto_scale_lr = dict(base_batch_size=8)
# the last checkpoint, not the best on a validation set so small that the best is best by luck
small_hooks = dict(
    logger=dict(interval=10), checkpoint=dict(interval=1, max_keep_ckpts=2, save_best=None)
)
