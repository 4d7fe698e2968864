# Your own footage: a video file, or a folder of images, and a file of boxes. Change the
# six lines below; then
#   python tools/analysis_tools/check_dataset.py configs/fairmot_dla34_custom.py
#   python tools/analysis_tools/browse_dataset.py configs/fairmot_dla34_custom.py
#   python tools/train.py configs/fairmot_dla34_custom.py
_base_ = ["fairmot_dla34_mot17.py", "_base_/validation.py"]

data_root = "data/mine"  # folder of your footage
frames = "walk.mp4"  # in it, the video, or the folder of images
ann_file = "walk.csv"  # in it, the boxes; docs/datasets.md has the columns
classes = ("pedestrian",)  # what you marked; more than one needs a column class
held_out = 0.2  # share of the frames, the last ones, kept back for the validation
load_from = None  # weights to start from; people need few epochs from fairmot_dla34

footage = dict(
    type="FootageFrameDataset",
    data_root=data_root,
    frames=frames,
    ann_file=ann_file,
    metainfo=dict(classes=classes),
    # Frames without boxes are taken to show nobody. If you marked only some frames,
    # set this to True.
    annotated_only=False,
)
# Further footage: more entries of `datasets`. Data sets of other formats, such as
# MOTFrameDataset, may stand beside it; `repeats=[10, 1]` shows the first ten times.
train_dataloader = dict(
    batch_size=4,
    num_workers=2,
    dataset=dict(
        _delete_=True,
        type="JointDataset",
        input_size={{_base_.train_dataloader.dataset.input_size}},
        pipeline={{_base_.train_pipeline}},
        datasets=[dict(footage, share=(0, 1 - held_out))],
    ),
)
# To validate on another video: its `source` without `share`, and `held_out` 0. Without
# identities: `val_dataloader = val_evaluator = val_cfg = None`.
tracked = dict(
    type="AnnotatedVideoDataset",
    source=dict(footage, share=(1 - held_out, 1)),
    input_size={{_base_.test_dataloader.dataset.input_size}},
    pipeline={{_base_.test_pipeline}},
)
val_dataloader = dict(dataset=tracked)
test_dataloader = dict(dataset=dict(tracked, _delete_=True))
# The mean of the classes, if there are several.
best = "mot/HOTA" if len(classes) == 1 else "mot/class_averaged/HOTA"
default_hooks = dict(checkpoint=dict(save_best=best))
model = dict(
    bbox_head=dict(num_classes=len(classes)),
    # Upright people alone are shown. For anything else: None, and 0.
    tracker=dict(max_aspect_ratio=1.6, min_box_area=100),
)
