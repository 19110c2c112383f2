# What the sample configs change in the real ones: the data, and a schedule for two CPU cores.
sample_root = '{{$SAMPLE_DATA_ROOT:data/sample}}/'
sample_train_dataloader = dict(
    batch_size=8, num_workers=1, dataset=dict(type='SampleDataset', data_root=sample_root)
)
# one image at a time, as on COCO: in a batch, images are padded to the size of the largest
sample_val_dataloader = dict(
    num_workers=1, dataset=dict(type='SampleDataset', data_root=sample_root)
)
sample_evaluator = dict(ann_file=sample_root + 'annotations/instances_val2017.json')
# 8 classes; fewer proposals and RoIs than on COCO, because there are 5 objects an image, not 7
sample_model = dict(
    roi_head=dict(bbox_head=dict(num_classes=8)),
    train_cfg=dict(
        rpn_proposal=dict(nms_pre=1000, max_per_img=300),
        rcnn=dict(sampler=dict(num=32, pos_fraction=0.5)),
    ),
    test_cfg=dict(rpn=dict(nms_pre=1000, max_per_img=100)),
)
# AdamW, because a few hundred steps from scratch are too few for SGD
sample_optim_wrapper = dict(
    _delete_=True,
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=0.005, weight_decay=1e-4),
    clip_grad=dict(max_norm=10),
)
sample_hooks = dict(
    logger=dict(interval=10), checkpoint=dict(interval=1, max_keep_ckpts=2, save_best=None)
)
sample_auto_scale_lr = dict(base_batch_size=8)
