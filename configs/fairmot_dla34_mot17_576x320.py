# MOT17 at 576 x 320, for faster tracking.
_base_ = "fairmot_dla34_mot17.py"

input_size = (576, 320)
letterbox = dict(type="Letterbox", size=input_size)
train_pipeline = [
    *_base_.train_pipeline[:2],
    letterbox,
    *_base_.train_pipeline[3:],
]
test_pipeline = [
    dict(
        type="TransformBroadcaster",
        transforms=[dict(type="CheckedLoadImageFromFile"), letterbox],
    ),
    {{_base_.pack_frames}},
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
