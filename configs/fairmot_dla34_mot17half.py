# Ablation split: trained on the first half of every MOT17 training sequence, validated
# and tracked on the second (Zhang et al., arXiv:2004.01888, section 4.3).
_base_ = ["fairmot_dla34_mot17.py", "_base_/validation.py"]

train_dataloader = dict(dataset=dict(half="first"))
test_dataloader = dict(dataset=dict(half="second"))
val_dataloader = dict(dataset=dict(_base_.test_dataloader.dataset, half="second"))
default_hooks = dict(checkpoint=dict(save_best="mot/HOTA"))

# Options, off as in the paper: custom_hooks = [ema, early_stopping].
# Validates and saves an average of the weights over the last thousand iterations.
ema = dict(
    type="EMAHook",
    ema_type="mmdet.ExpMomentumEMA",
    momentum=0.001,
    update_buffers=True,
)
# Stops after five validations that are not better by 0.1 points of HOTA.
early_stopping = dict(
    type="EarlyStoppingHook",
    monitor="mot/HOTA",
    rule="greater",
    min_delta=0.001,
    patience=5,
)
