# A check that everything learns: overfits one short sequence, from scratch, in minutes
# on two CPU cores. Training and tracking data are the same, so the figures say nothing
# about other data.
_base_ = "fairmot_dla34_mot17_576x320.py"

data_root = "data/MOT17-mini"

# Without augmentation.
train_pipeline = [_base_.load, _base_.letterbox, _base_.pack]
train_dataloader = dict(
    batch_size=1,
    num_workers=1,
    dataset=dict(
        _delete_=True,
        type="RepeatDataset",
        times=16,
        dataset=dict(
            type="MOTFrameDataset",
            data_root=data_root,
            input_size=_base_.train_dataloader.dataset.input_size,
            pipeline=train_pipeline,
        ),
    ),
)
test_dataloader = dict(
    num_workers=1,
    dataset=dict(data_root=data_root, detector=None),
)

train_cfg = dict(max_epochs=1)
optim_wrapper = dict(optimizer=dict(lr=5e-4))
param_scheduler = [
    dict(type="LinearLR", start_factor=0.1, by_epoch=False, end=20),
    dict(
        type="CosineAnnealingLR",
        by_epoch=True,
        T_max=1,
        eta_min_ratio=0.02,
        convert_to_iter_based=True,
    ),
]
default_hooks = dict(logger=dict(interval=20))
