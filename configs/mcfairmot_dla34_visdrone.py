# VisDrone-MOT: ten classes of people and vehicles seen from drones, an identity
# classifier for each class.
_base_ = "fairmot_dla34_mot17.py"

train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type="VisDroneFrameDataset",
        data_root="data/VisDrone2019-MOT-train",
        # Identities count from 0 in each class; num_ids becomes a list of ten numbers.
        per_class_ids=True,
        input_size={{_base_.train_dataloader.dataset.input_size}},
        pipeline={{_base_.train_pipeline}},
    )
)
test_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type="AnnotatedVideoDataset",
        source=dict(type="VisDroneFrameDataset", data_root="data/VisDrone2019-MOT-val"),
        input_size={{_base_.test_dataloader.dataset.input_size}},
        pipeline={{_base_.test_pipeline}},
    )
)
model = dict(
    bbox_head=dict(num_classes=10),
    # Vehicles are wide, and everything is small from the air: no box is hidden.
    tracker=dict(min_box_area=0, max_aspect_ratio=None),
)
