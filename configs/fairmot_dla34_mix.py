# The published mixture: MOT17, Caltech, CityPersons, CUHK-SYSU, PRW and ETHZ (Zhang et
# al., arXiv:2004.01888, section 4.1). docs/datasets.md says where they come from. The
# lists are those of the reference implementation.
# The published run starts from CenterNet's COCO weights: set load_from to them.
_base_ = "fairmot_dla34_mot17.py"

data_root = "data"
lists = [
    dict(type="JDEFrameDataset", data_root=data_root, ann_file=f"lists/{name}")
    for name in (
        "caltech.all",
        "citypersons.train",
        "cuhksysu.train",
        "prw.train",
        "eth.train",
    )
]

train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type="JointDataset",
        input_size={{_base_.train_dataloader.dataset.input_size}},
        pipeline={{_base_.train_pipeline}},
        datasets=[
            dict(
                type="MOTFrameDataset",
                data_root=f"{data_root}/MOT17/train",
                detector="SDP",
            ),
            *lists,
        ],
    )
)
