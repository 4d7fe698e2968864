# FairMOT on an HRNetV2-W32; see fairmot_hrnetw18_mot17.py.
_base_ = "fairmot_hrnetw18_mot17.py"

channels = (32, 64, 128, 256)
model = dict(
    backbone=dict(
        extra=dict(
            stage2=dict(num_channels=channels[:2]),
            stage3=dict(num_channels=channels[:3]),
            stage4=dict(num_channels=channels),
        )
    ),
    neck=dict(in_channels=channels),
    bbox_head=dict(in_channels=sum(channels)),
    reid_head=dict(in_channels=sum(channels)),
)
