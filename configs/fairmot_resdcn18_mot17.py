# FairMOT on a ResNet-18, upsampled by deformable and transposed convolutions. The
# published run starts from ImageNet: --cfg-options
#   model.backbone.init_cfg.type=Pretrained
#   model.backbone.init_cfg.checkpoint=torchvision://resnet18
_base_ = "fairmot_dla34_mot17.py"

model = dict(
    backbone=dict(
        _delete_=True,
        type="mmdet.ResNet",
        depth=18,
        # As in the reference implementation, every layer is trained from the start.
        norm_eval=False,
        zero_init_residual=False,
    ),
    neck=dict(_delete_=True, type="DeconvNeck", in_channels=512),
)
