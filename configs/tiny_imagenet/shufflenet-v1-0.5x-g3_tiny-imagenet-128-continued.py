# A second training, from the weights of the first (the base), with crops of several sizes: by then
# the network knows its images better than new ones.
_base_ = './shufflenet-v1-0.5x-g3_tiny-imagenet-128.py'
train_dataloader = dict(
    dataset=dict(
        pipeline=[
            dict(type='FastRandomResizedCrop', size={{_base_.enlarged.size}}, scale=(0.5, 1.0)),
            dict(type='torchvision/RandomHorizontalFlip'),
        ]
    )
)
load_from = 'work_dirs/shufflenet-v1-0.5x-g3_tiny-imagenet-128/epoch_14.pth'
train_cfg = dict(max_epochs=21)
warmup_epochs = 1
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, end=warmup_epochs, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', begin=warmup_epochs, eta_min=0.0, convert_to_iter_based=True),
]
