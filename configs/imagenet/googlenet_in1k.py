_base_ = './alexnet_in1k.py'
model = dict(backbone=dict(type='GoogLeNet'))
# batch norms allow ten times the learning rate
optim_wrapper = dict(optimizer=dict(lr=0.1, weight_decay=1e-4))
