# Frames of MOTChallenge folders. What differs from one recipe to the next: of the
# datasets `input_size` (width and height of the network input), `data_root`,
# `sequences`, `detector`, `half`; of the pipelines the transforms, which go by name.
load = dict(type="CheckedLoadImageFromFile")
jitter = dict(type="RandomSaturationValue", fraction=0.5)
letterbox = dict(type="Letterbox")  # to the dataset's input_size
affine = dict(type="RandomBoxAffine")
flip = dict(type="mmdet.RandomFlip", prob=0.5)
pack = dict(type="PackTrackTrainInputs")
pack_frames = dict(type="PackTrackTestInputs")
train_pipeline = [load, jitter, letterbox, affine, flip, pack]
test_pipeline = [
    dict(type="TransformBroadcaster", transforms=[load, letterbox]),
    pack_frames,
]

train_dataloader = dict(
    batch_size=12,
    num_workers=8,
    persistent_workers=True,
    drop_last=True,
    sampler=dict(type="DefaultSampler", shuffle=True),
    dataset=dict(
        type="MOTFrameDataset", input_size=(1088, 608), pipeline=train_pipeline
    ),
)
test_dataloader = dict(
    batch_size=1,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type="VideoSampler"),
    dataset=dict(
        type="MOTVideoDataset", input_size=(1088, 608), pipeline=test_pipeline
    ),
)
test_evaluator = dict(type="MOTMetric")
test_cfg = dict(type="TestLoop")
