default_scope = "fairmot_mm"
custom_imports = dict(imports=["fairmot_mm"], allow_failed_imports=False)

default_hooks = dict(
    timer=dict(type="IterTimerHook"),
    logger=dict(type="fairmot_mm.MasterLoggerHook", interval=50),
    param_scheduler=dict(type="ParamSchedulerHook"),
    checkpoint=dict(type="fairmot_mm.SafeCheckpointHook", interval=1, max_keep_ckpts=3),
    sampler_seed=dict(type="DistSamplerSeedHook"),
    curves=dict(type="fairmot_mm.TrainingCurvesHook"),
    sheet=dict(type="fairmot_mm.ValidationSheetHook"),
)

env_cfg = dict(
    cudnn_benchmark=True,
    mp_cfg=dict(mp_start_method="fork", opencv_num_threads=0),
    # Seconds: a process without a video waits for the others' tracking and scoring.
    dist_cfg=dict(backend="nccl", timeout=24 * 3600),
)
randomness = dict(seed=317)
# Losses and figures go to WORK_DIR/TIME/vis_data/scalars.json, and at the end into
# WORK_DIR/curves.png. To watch them in TensorBoard (pip install 'fairmot_mm[report]'):
#   visualizer = dict(vis_backends=[*_base_.vis_backends,
#                                   dict(type="TensorboardVisBackend")])
vis_backends = [dict(type="LocalVisBackend")]
visualizer = dict(type="Visualizer", vis_backends=vis_backends)
# The parts of the loss are logged as means of the last steps, as the loss itself is.
log_processor = dict(
    type="LogProcessor",
    window_size=50,
    by_epoch=True,
    mean_pattern=r"loss|time|grad_norm|^(heatmap|size|offset|id|colours|triplet)$",
)
log_level = "INFO"
load_from = None
resume = False
