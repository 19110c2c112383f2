# The recipe of docs/claims.md on a tenth of the images, which small networks can learn by heart:
# how much they can hold, seen in the errors in training.
_base_ = './claims.py'
train_data_name = 'tiny-imagenet-200, 50 images a class'
# numbers 0 to 49 of each class's 500, whose files are sorted as text
tenth = [
    500 * label + place
    for label in range(200)
    for place, number in enumerate(sorted(range(500), key=str))
    if number < 50
]
train_dataloader = dict(dataset=dict(indices=tenth))
train_cfg = dict(max_epochs=120, val_interval=20)
default_hooks = dict(checkpoint=dict(interval=20))
warmup_epochs = 6
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, end=warmup_epochs, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', begin=warmup_epochs, eta_min=0.0, convert_to_iter_based=True),
]
