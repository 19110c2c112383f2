# The rendered classification sample: small images, decoded and transformed in the main process.
sample_root = '{{$SAMPLE_CLASSIFICATION_ROOT:data/sample_classification}}/'
size = 64

train_dataloader = dict(
    batch_size=64,
    num_workers=0,
    drop_last=True,
    collate_fn=dict(type='default_collate'),
    sampler=dict(type='EpochSampler', shuffle=True),
    dataset=dict(
        type='ImageFolderDataset',
        data_root=sample_root,
        split='train',
        pipeline=[
            dict(type='torchvision/RandomCrop', size=size),
            dict(type='torchvision/RandomHorizontalFlip'),
        ],
    ),
)
val_dataloader = dict(
    batch_size=100,
    num_workers=0,
    collate_fn=dict(type='default_collate'),
    sampler=dict(type='DefaultSampler', shuffle=False, round_up=False),
    dataset=dict(
        type='ImageFolderDataset',
        data_root=sample_root,
        split='val',
        pipeline=[dict(type='torchvision/CenterCrop', size=size)],
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='TopKError')
test_evaluator = val_evaluator
