# The same network on images enlarged to 128 pixels, in as much time.
_base_ = './claims-128.py'
model = dict(backbone=dict(widen_factor=0.5))
train_cfg = dict(max_epochs=14)
randomness = dict(seed=0)
