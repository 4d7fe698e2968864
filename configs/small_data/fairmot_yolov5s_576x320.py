# Little data, from scratch: the light network in 1500 steps on four sequences, stills
# of three more cameras, and COCO pictures with and without people. The weights that
# travel with the package were trained by this config, and their colours afterwards by
# tools/train_colours.py, see docs/model-card.md.
_base_ = "../fairmot_yolov5s_mot17.py"

data_root = "data/real/"  # MOTChallenge folders, `stills/` with more, and `coco/`
max_iters = 1500

model = dict(
    bbox_head=dict(loss_size=dict(_delete_=True, type="SizeIoULoss", loss_weight=0.5)),
    # What people wear is recognised in scenes never seen.
    reid_head=dict(type="ColourEmbeddingHead"),
    tracker=dict(obj_score_thr=0.35),
)
train_pipeline = [
    _base_.load,
    # No other hues: a person's colours stay.
    _base_.jitter,
    _base_.letterbox,
    # Large people are missed most: they are shown up to twice as large.
    dict(type="RandomBoxAffine", scale=(0.5, 2.0), translate=(0.2, 0.2)),
    _base_.flip,
    _base_.pack,
]
sequences = ["MOT17-02", "MOT17-09", "PETS09-S2L1", "ETH-Sunnyday"]
train_dataloader = dict(
    batch_size=8,
    num_workers=1,
    dataset=dict(
        _delete_=True,
        type="JointDataset",
        input_size=(576, 320),
        pipeline=train_pipeline,
        repeats=[1, 1, 1, 2, 25, 4],
        datasets=[
            *(
                dict(type="MOTFrameDataset", data_root=data_root, sequences=[name])
                for name in sequences
            ),
            dict(
                type="MOTFrameDataset",
                data_root=data_root + "stills",
                sequences=["MOT17-05", "MOT17-11", "MOT17-13"],
            ),
            dict(
                type="JDEFrameDataset",
                data_root=data_root,
                ann_file="coco/train.txt",
            ),
        ],
    ),
)
test_dataloader = dict(
    dataset=dict(
        data_root=data_root,
        sequences=["TUD-Stadtmitte"],
        detector=None,
        input_size=(576, 320),
    )
)
train_cfg = dict(
    _delete_=True, type="fairmot_mm.FairMOTIterTrainLoop", max_iters=max_iters
)
log_processor = dict(by_epoch=False)
default_hooks = dict(checkpoint=dict(interval=100, by_epoch=False, max_keep_ckpts=2))
optim_wrapper = dict(
    optimizer=dict(lr=1e-3),
    clip_grad=dict(max_norm=35),
    # Few numbers, which start where they are useful, learn fast.
    paramwise_cfg=dict(
        custom_keys={
            "reid_head.colours": dict(lr_mult=4),
            "reid_head.description": dict(lr_mult=4),
        }
    ),
)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.01, by_epoch=False, end=100),
    dict(
        type="CosineAnnealingLR",
        by_epoch=False,
        begin=100,
        end=max_iters,
        eta_min=1e-5,
    ),
]
# The mean of the last few hundred steps is what is saved.
custom_hooks = [
    dict(
        type="EMAHook",
        ema_type="mmdet.ExpMomentumEMA",
        momentum=0.002,
        gamma=200,
        update_buffers=True,
        priority=49,
    )
]
