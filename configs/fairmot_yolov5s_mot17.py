# The light FairMOT: YOLOv5s up to stride 4, with narrow heads (published as `yolo`).
_base_ = "fairmot_dla34_mot17.py"

head = dict(feat_channels=64, act_cfg=dict(type="SiLU"))
model = dict(
    backbone=dict(
        _delete_=True,
        type="mmdet.CSPDarknet",
        deepen_factor=0.33,
        widen_factor=0.5,
        out_indices=(1, 2, 3, 4),
        act_cfg=dict(type="SiLU"),
    ),
    neck=dict(_delete_=True, type="CSPNeck", in_channels=(64, 128, 256, 512)),
    bbox_head=dict(loss_size=dict(type="mmdet.L1Loss", loss_weight=0.5), **head),
    reid_head=dict(embed_dims=64, **head),
    task_weighting=dict(_delete_=True, type="FixedWeighting", id_weight=0.1),
)

train_dataloader = dict(batch_size=16)
optim_wrapper = dict(optimizer=dict(lr=5e-4))
auto_scale_lr = dict(base_batch_size=16)
