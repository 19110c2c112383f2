# ImageNet-1k in any of its layouts (docs/imagenet.md), 224 pixels.
data_root = '{{$IMAGENET_ROOT:data/imagenet}}/'

# The paper's scale augmentation is "slightly less aggressive" than the usual crops of 8 to 100% of
# the image: here they are 25 to 100%.
train_pipeline = [
    dict(type='FastRandomResizedCrop', size=224, scale=(0.25, 1.0)),
    dict(type='torchvision/RandomHorizontalFlip'),
]
test_pipeline = [dict(type='ResizeCenterCrop', resize=256, crop=224)]

train_dataloader = dict(
    batch_size=256,
    num_workers=8,
    persistent_workers=True,
    pin_memory=True,
    drop_last=True,
    collate_fn=dict(type='default_collate'),
    sampler=dict(type='EpochSampler', shuffle=True),
    dataset=dict(
        type='ImageNetDataset', data_root=data_root, split='train', pipeline=train_pipeline
    ),
)
val_dataloader = dict(
    batch_size=128,
    num_workers=8,
    persistent_workers=True,
    pin_memory=True,
    collate_fn=dict(type='default_collate'),
    sampler=dict(type='DefaultSampler', shuffle=False, round_up=False),
    dataset=dict(type='ImageNetDataset', data_root=data_root, split='val', pipeline=test_pipeline),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='TopKError')
test_evaluator = val_evaluator
