# FairMOT on an HRNetV2-W18. The published run starts from ImageNet weights, converted
# by tools/model_converters/fairmot2mm.py, and takes batches of 8: set load_from.
_base_ = "fairmot_dla34_mot17.py"

channels = (18, 36, 72, 144)
model = dict(
    backbone=dict(
        _delete_=True,
        type="mmdet.HRNet",
        extra=dict(
            stage1=dict(
                num_modules=1,
                num_branches=1,
                block="BOTTLENECK",
                num_blocks=(4,),
                num_channels=(64,),
            ),
            stage2=dict(
                num_modules=1,
                num_branches=2,
                block="BASIC",
                num_blocks=(4, 4),
                num_channels=channels[:2],
            ),
            stage3=dict(
                num_modules=4,
                num_branches=3,
                block="BASIC",
                num_blocks=(4, 4, 4),
                num_channels=channels[:3],
            ),
            stage4=dict(
                num_modules=3,
                num_branches=4,
                block="BASIC",
                num_blocks=(4, 4, 4, 4),
                num_channels=channels,
            ),
        ),
        norm_eval=False,
    ),
    neck=dict(_delete_=True, type="ConcatNeck", in_channels=channels),
    bbox_head=dict(in_channels=sum(channels)),
    reid_head=dict(in_channels=sum(channels)),
)

train_dataloader = dict(batch_size=8)
auto_scale_lr = dict(base_batch_size=8)
