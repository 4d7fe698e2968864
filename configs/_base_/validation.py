# Validation while training. A recipe adds the videos that it keeps back,
# val_dataloader.dataset, and may choose the best checkpoint by a figure.
val_dataloader = dict(
    batch_size=1,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type="VideoSampler"),
)
val_evaluator = dict(type="MOTMetric", backends=["trackeval"])
val_cfg = dict(type="fairmot_mm.FairMOTValLoop")
