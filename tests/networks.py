"""Networks of the toolbox that tests of several folders put our parts on."""

# To one map of 64 channels at stride 4.
RESNET18 = dict(
    backbone=dict(type="mmdet.ResNet", depth=18, out_indices=(3,)),
    neck=dict(
        type="mmdet.CTResNetNeck",
        in_channels=512,
        num_deconv_filters=(256, 128, 64),
        num_deconv_kernels=(4, 4, 4),
        use_dcn=False,
    ),
)

# Ours, cut short: to one map of 64 channels at stride 4, without the deepest level.
SHORT_DLA = dict(
    backbone=dict(type="fairmot_mm.DLANet", out_indices=(0, 1, 2, 3, 4)),
    neck=dict(
        type="fairmot_mm.DLANeck",
        in_channels=(16, 32, 64, 128, 256),
        end_level=4,
        use_dcn=False,
    ),
)
