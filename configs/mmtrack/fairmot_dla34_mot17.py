# FairMOT on MOT17 in MMTracking: its dataset, sampler, metric, hook and visualiser, our
# network and tracker. The annotations are those of MMTracking's converter,
#   tools/dataset_converters/mot/mot2coco.py -i data/MOT17 -o data/MOT17/annotations
# for one of MOT17's three copies of every sequence, see docs/mmtracking.md.
_base_ = [
    "../_base_/default_runtime.py",
    "../_base_/fairmot_dla34.py",
    "../_base_/schedule_30e.py",
]

default_scope = "mmtrack"
custom_imports = dict(imports=["fairmot_mm.integrations.mmtrack"])

model = dict(
    type="fairmot_mm.MMTrackFairMOT",
    data_preprocessor=dict(
        _delete_=True,
        type="TrackDataPreprocessor",
        # RGB in [0, 1]
        bgr_to_rgb=True,
        mean=[0.0, 0.0, 0.0],
        std=[255.0, 255.0, 255.0],
    ),
    backbone=dict(type="fairmot_mm.DLANet"),
    neck=dict(type="fairmot_mm.DLANeck"),
    bbox_head=dict(type="fairmot_mm.FairMOTHead"),
    # Identities are the annotations' instance ids, of any class: no fewer than the
    # converter prints and "num_instances" in the file says; more do no harm.
    reid_head=dict(type="fairmot_mm.EmbeddingHead", num_ids=3000),
    task_weighting=dict(type="fairmot_mm.UncertaintyWeighting"),
    tracker=dict(type="fairmot_mm.JDETracker"),
)

data_root = "data/MOT17"
input_size = (1088, 608)

train_pipeline = [
    dict(type="fairmot_mm.CheckedLoadImageFromFile"),
    dict(type="LoadTrackAnnotations", with_instance_id=True),
    dict(type="fairmot_mm.RandomSaturationValue", fraction=0.5),
    dict(type="fairmot_mm.Letterbox", size=input_size),
    dict(type="fairmot_mm.RandomBoxAffine"),
    dict(type="mmdet.RandomFlip", prob=0.5),
    dict(type="PackTrackInputs", pack_single_img=True),
]
test_pipeline = [
    dict(type="fairmot_mm.CheckedLoadImageFromFile"),
    dict(type="fairmot_mm.LoadFrameRate"),
    dict(type="fairmot_mm.Letterbox", size=input_size),
    # Last, so that the visualiser finds the boxes in pixels of the image it draws on.
    dict(type="LoadTrackAnnotations", with_instance_id=True),
    dict(
        type="PackTrackInputs",
        pack_single_img=True,
        meta_keys=("frame_rate", "pad_param"),
    ),
]

train_dataloader = dict(
    batch_size=12,
    num_workers=8,
    persistent_workers=True,
    drop_last=True,
    sampler=dict(type="DefaultSampler", shuffle=True),
    dataset=dict(
        type="MOTChallengeDataset",
        data_root=data_root,
        ann_file="annotations/train_cocoformat.json",
        data_prefix=dict(img_path="train"),
        metainfo=dict(CLASSES=("pedestrian",)),
        ref_img_sampler=None,
        pipeline=train_pipeline,
    ),
)
test_dataloader = dict(
    batch_size=1,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type="VideoSampler"),
    dataset=dict(
        type="MOTChallengeDataset",
        data_root=data_root,
        ann_file="annotations/train_cocoformat.json",
        data_prefix=dict(img_path="train"),
        # All classes: the metric forgives tracks on some of them.
        ref_img_sampler=None,
        test_mode=True,
        pipeline=test_pipeline,
    ),
)
test_evaluator = dict(type="MOTChallengeMetrics")
test_cfg = dict(type="TestLoop")

default_hooks = dict(visualization=dict(type="TrackVisualizationHook", draw=False))
visualizer = dict(
    type="TrackLocalVisualizer", vis_backends=[dict(type="LocalVisBackend")]
)
