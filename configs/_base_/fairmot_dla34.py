model = dict(
    type="FairMOT",
    data_preprocessor=dict(
        type="mmdet.TrackDataPreprocessor",
        # RGB in [0, 1]
        bgr_to_rgb=True,
        mean=[0.0, 0.0, 0.0],
        std=[255.0, 255.0, 255.0],
        # Samples are single frames in training, videos in testing.
        use_det_processor=True,
    ),
    backbone=dict(type="DLANet", depth=34),
    neck=dict(type="DLANeck", in_channels=(16, 32, 64, 128, 256, 512)),
    bbox_head=dict(type="FairMOTHead", in_channels=64, num_classes=1),
    reid_head=dict(type="EmbeddingHead", in_channels=64, num_ids="auto"),
    task_weighting=dict(type="UncertaintyWeighting", s_det=-1.85, s_id=-1.05),
    tracker=dict(
        type="JDETracker",
        obj_score_thr=0.4,
        num_frames_retain=30,
        min_box_area=100,
        max_aspect_ratio=1.6,
    ),
)
