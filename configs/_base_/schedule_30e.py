train_cfg = dict(type="fairmot_mm.FairMOTTrainLoop", max_epochs=30)
optim_wrapper = dict(
    type="OptimWrapper", optimizer=dict(type="Adam", lr=1e-4, fused=True)
)
param_scheduler = [dict(type="MultiStepLR", by_epoch=True, milestones=[20], gamma=0.1)]
# tools/train.py --auto-scale-lr scales the rate for other batches than this.
auto_scale_lr = dict(enable=False, base_batch_size=12)
