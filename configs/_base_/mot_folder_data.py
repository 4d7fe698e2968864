# Frames of MOTChallenge folders. What differs from one recipe to the next:
# the network input (`input_size`), `data_root`, `sequences`, `detector`, `half`.
input_size = (1088, 608)

train_pipeline = [
    dict(type="CheckedLoadImageFromFile"),
    dict(type="RandomSaturationValue", fraction=0.5),
    dict(type="Letterbox", size=input_size),
    dict(type="RandomBoxAffine"),
    dict(type="mmdet.RandomFlip", prob=0.5),
    dict(type="PackTrackTrainInputs"),
]
pack_frames = dict(
    type="mmdet.PackTrackInputs",
    meta_keys=(
        "frame_number",
        "frame_range",
        "frame_rate",
        "pad_param",
        "sequence_name",
        "sequence_root",
    ),
)
test_pipeline = [
    dict(
        type="TransformBroadcaster",
        transforms=[
            dict(type="CheckedLoadImageFromFile"),
            dict(type="Letterbox", size=input_size),
        ],
    ),
    pack_frames,
]

train_dataloader = dict(
    batch_size=12,
    num_workers=8,
    persistent_workers=True,
    drop_last=True,
    sampler=dict(type="DefaultSampler", shuffle=True),
    dataset=dict(type="MOTFrameDataset", pipeline=train_pipeline),
)
test_dataloader = dict(
    batch_size=1,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type="VideoSampler"),
    dataset=dict(type="MOTVideoDataset", pipeline=test_pipeline),
)
test_evaluator = dict(type="MOTMetric")
test_cfg = dict(type="TestLoop")
