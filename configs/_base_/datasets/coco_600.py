# MS COCO at 600 pixels on the short side, 1000 at most on the long one, training and test alike.
# The paper trains on train+val without the 5000 images of minival: that is train2017, and minival
# is val2017.
_base_ = 'mmdet::_base_/datasets/coco_detection.py'
data_root = '{{$COCO_DATA_ROOT:data/coco}}/'
scale = (1000, 600)
# with the same pixels on every processor, unlike 'bilinear'
interpolation = 'bilinear_exact'

train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='Resize', scale=scale, keep_ratio=True, interpolation=interpolation),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackDetInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=scale, keep_ratio=True, interpolation=interpolation),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(
        type='PackDetInputs',
        meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor'),
    ),
]
train_dataloader = dict(
    batch_size=4,
    dataset=dict(type='CheckedCocoDataset', data_root=data_root, pipeline=train_pipeline),
)
val_dataloader = dict(
    dataset=dict(type='CheckedCocoDataset', data_root=data_root, pipeline=test_pipeline)
)
test_dataloader = val_dataloader
val_evaluator = dict(
    type='CheckedCocoMetric', ann_file=data_root + 'annotations/instances_val2017.json'
)
test_evaluator = val_evaluator
