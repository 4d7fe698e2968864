# Synthetic sequences, as tools/run_demo.sh renders them, trained from scratch in
# minutes on two CPU cores. People are plain, so a small input and few steps suffice.
_base_ = "fairmot_dla34_mot17.py"

data_root = "demo_output"
input_size = (256, 160)

# One image a step: running statistics average over many steps.
norm_cfg = dict(type="BN", momentum=0.03)
model = dict(
    backbone=dict(norm_cfg=norm_cfg),
    # Plain convolutions, as in FairMOT's dlaconv variant, and narrower branches: half
    # the time of a step.
    neck=dict(use_dcn=False, norm_cfg=norm_cfg),
    bbox_head=dict(
        feat_channels=128,
        # So few steps need a higher weight of the size.
        loss_size=dict(type="mmdet.L1Loss", loss_weight=0.3),
    ),
    # Detection takes longest to learn from scratch, so ReID has a low weight.
    task_weighting=dict(_delete_=True, type="FixedWeighting", id_weight=0.1),
    # After a short training embeddings confuse people: lost tracks are dropped early.
    tracker=dict(num_frames_retain=10),
)

train_pipeline = [
    _base_.load,
    dict(type="RandomSaturationValue", fraction=0.2),
    _base_.letterbox,
    dict(type="RandomBoxAffine", degrees=(0, 0), scale=(0.75, 1.3), shear=(0, 0)),
    _base_.flip,
    _base_.pack,
]
train_dataloader = dict(
    batch_size=1,
    num_workers=1,
    dataset=dict(
        data_root=f"{data_root}/training/train",
        detector=None,
        input_size=input_size,
        pipeline=train_pipeline,
    ),
)
test_dataloader = dict(
    num_workers=1,
    dataset=dict(
        data_root=f"{data_root}/unseen/test", detector=None, input_size=input_size
    ),
)

train_cfg = dict(max_epochs=2)
optim_wrapper = dict(optimizer=dict(lr=5e-4))
param_scheduler = [
    dict(type="LinearLR", start_factor=0.1, by_epoch=False, end=20),
    dict(
        type="CosineAnnealingLR",
        by_epoch=True,
        T_max=2,
        eta_min_ratio=0.02,
        convert_to_iter_based=True,
    ),
]
default_hooks = dict(logger=dict(interval=20))
