# Tiny ImageNet as it is published (docs/claims.md): 200 classes of ImageNet, 64 pixels.
# The stem is that of ImageNet, stride 4, for all networks alike: stages 2, 3 and 4 then have maps
# of 8x8, 4x4 and 2x2; the average over the last is what is classified.
# for records of trainings, whatever the folder is called
data_name = 'tiny-imagenet-200'
tiny_root = '{{$TINY_IMAGENET_ROOT:data/tiny-imagenet-200}}/'
size = 64
padding = 8
batch = 256
# decoded once: 1.4 GB (docs/input-pipeline.md)
cache = 'work_dirs/cache'

train_pipeline = [
    # filled with the mean: zero for the network
    dict(type='FastRandomCrop', size=size, padding=padding),
    dict(type='torchvision/RandomHorizontalFlip'),
]
test_pipeline = [dict(type='torchvision/CenterCrop', size=size)]

train_dataloader = dict(
    batch_size=batch,
    num_workers=0,
    drop_last=True,
    collate_fn=dict(type='default_collate'),
    sampler=dict(type='EpochSampler', shuffle=True),
    dataset=dict(
        type='ImageNetDataset',
        data_root=tiny_root,
        split='train',
        pipeline=train_pipeline,
        cache=cache,
    ),
)
val_dataloader = dict(
    batch_size=batch,
    num_workers=0,
    collate_fn=dict(type='default_collate'),
    sampler=dict(type='DefaultSampler', shuffle=False, round_up=False),
    dataset=dict(
        type='ImageNetDataset',
        data_root=tiny_root,
        split='val',
        pipeline=test_pipeline,
        cache=cache,
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='TopKError')
test_evaluator = val_evaluator
