# The published network on little data, from scratch: the light network's recipe at half
# the rate and in fewer steps, as each takes five times as long.
_base_ = "fairmot_yolov5s_576x320.py"

max_iters = 600

model = dict(
    backbone=dict(_delete_=True, type="DLANet", depth=34),
    neck=dict(_delete_=True, type="DLANeck", in_channels=(16, 32, 64, 128, 256, 512)),
    bbox_head=dict(feat_channels=256, act_cfg=None),
    reid_head=dict(feat_channels=256, act_cfg=None),
)
train_cfg = dict(max_iters=max_iters)
optim_wrapper = dict(optimizer=dict(lr=5e-4))
param_scheduler = [
    _base_.param_scheduler[0],
    dict(_base_.param_scheduler[1], end=max_iters),
]
