# What the sample configs change in the real ones: the data, and a schedule that two CPU cores
# finish in minutes. Training is from scratch, so it needs a steady learning rate rather than SGD's.
sample_root = '{{$SAMPLE_DATA_ROOT:data/sample}}/'
sample_num_classes = 8
sample_train_dataloader = dict(
    batch_size=8, dataset=dict(type='SampleDataset', data_root=sample_root)
)
sample_val_dataloader = dict(
    batch_size=8, dataset=dict(type='SampleDataset', data_root=sample_root)
)
sample_evaluator = dict(ann_file=sample_root + 'annotations/instances_val2017.json')
