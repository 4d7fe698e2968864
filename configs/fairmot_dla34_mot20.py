# Fine-tuning on MOT20 from the published model, see fairmot_dla34_mix_ft_crowdhuman.py.
# MOT20's boxes end at the border of the image, so augmentation cuts them there, too.
_base_ = "fairmot_dla34_mot15.py"

train_pipeline = [
    _base_.load,
    _base_.jitter,
    _base_.letterbox,
    dict(type="RandomBoxAffine", clip=True),
    _base_.flip,
    _base_.pack,
]
train_dataloader = dict(
    dataset=dict(data_root="data/MOT20/train", clip=True, pipeline=train_pipeline)
)
test_dataloader = dict(dataset=dict(data_root="data/MOT20/train"))
