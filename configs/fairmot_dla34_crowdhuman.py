# Pre-training on CrowdHuman's single images, training and validation set, where every
# box is an identity of its own (Zhang et al., arXiv:2004.01888, section 3.3).
# The published run starts from CenterNet's COCO weights: set load_from to them.
_base_ = "fairmot_dla34_mot17.py"

data_root = "data/crowdhuman"

train_dataloader = dict(
    batch_size=8,
    dataset=dict(
        _delete_=True,
        type="JointDataset",
        input_size={{_base_.train_dataloader.dataset.input_size}},
        pipeline={{_base_.train_pipeline}},
        datasets=[
            dict(
                type="CrowdHumanFrameDataset",
                data_root=data_root,
                ann_file="annotation_train.odgt",
            ),
            dict(
                type="CrowdHumanFrameDataset",
                data_root=data_root,
                ann_file="annotation_val.odgt",
            ),
        ],
    ),
)

train_cfg = dict(max_epochs=60)
param_scheduler = [dict(type="MultiStepLR", by_epoch=True, milestones=[50], gamma=0.1)]
auto_scale_lr = dict(base_batch_size=8)
