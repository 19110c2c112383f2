# A small backbone that anybody can pretrain: the recipe of the claims, longer.
_base_ = './claims.py'
model = dict(backbone=dict(widen_factor=0.5))
train_cfg = dict(max_epochs=60)
randomness = dict(seed=0)
