# MS COCO, every image squeezed into a square of 320 pixels: batches need no padding, and engines
# one shape. Parts of images and larger surroundings, as SSD has them: few objects in many sizes.
_base_ = './coco_600.py'
scale = (320, 320)
resize = dict(
    type='Resize', scale=scale, keep_ratio=False, interpolation=_base_.interpolation
)

train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True),
    # first of all, as SSD has it: behind the resize it is cheaper, and less is learned
    dict(type='PhotoMetricDistortion'),
    dict(type='Expand', mean=[123.675, 116.28, 103.53], to_rgb=True, ratio_range=(1, 2)),
    dict(type='MinIoURandomCrop', min_ious=(0.1, 0.3, 0.5, 0.7, 0.9), min_crop_size=0.4),
    resize,
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackDetInputs'),
]
# what PipelineSwitchHook takes for the last epochs: images as they are in testing, but for flips
late_epochs = 12
late_pipeline = [
    resize if step['type'] == 'Resize' else step for step in _base_.train_pipeline
]
test_pipeline = [
    resize if step['type'] == 'Resize' else step for step in _base_.test_pipeline
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
