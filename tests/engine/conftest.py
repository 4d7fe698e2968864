import pytest
from mmengine.config import Config
from networks import SHORT_DLA

LOAD = [
    dict(type="CheckedLoadImageFromFile"),
    dict(type="Letterbox"),
    dict(type="PackTrackTrainInputs"),
]


@pytest.fixture
def config(synthetic, tmp_path) -> Config:
    """A training on three short sequences by a network cut short."""
    dataset = dict(
        type="MOTFrameDataset",
        data_root=str(synthetic),
        input_size=(96, 64),
        pipeline=LOAD,
    )
    return Config(
        dict(
            default_scope="fairmot_mm",
            work_dir=str(tmp_path),
            experiment_name=tmp_path.name,
            model=dict(
                type="FairMOT",
                data_preprocessor=dict(
                    type="mmdet.TrackDataPreprocessor",
                    std=[255.0] * 3,
                    mean=[0.0] * 3,
                    use_det_processor=True,
                ),
                **SHORT_DLA,
                bbox_head=dict(type="FairMOTHead", in_channels=64, feat_channels=8),
                reid_head=dict(type="EmbeddingHead", in_channels=64, feat_channels=8),
            ),
            train_dataloader=dict(
                batch_size=5,
                num_workers=0,
                dataset=dataset,
                sampler=dict(type="DefaultSampler", shuffle=True),
            ),
            train_cfg=dict(type="FairMOTTrainLoop", max_epochs=1),
            optim_wrapper=dict(
                type="OptimWrapper", optimizer=dict(type="Adam", lr=1e-3)
            ),
            default_hooks=dict(logger=dict(type="LoggerHook", interval=1)),
        )
    )


@pytest.fixture
def validated(config) -> Config:
    """The training with a validation on the second halves."""
    training = config.train_dataloader.dataset
    config.model.tracker = dict(type="JDETracker", obj_score_thr=0.02)
    config.merge_from_dict(
        dict(
            val_dataloader=dict(
                batch_size=1,
                num_workers=0,
                sampler=dict(type="VideoSampler"),
                dataset=dict(
                    type="MOTVideoDataset",
                    data_root=training.data_root,
                    half="second",
                    input_size=training.input_size,
                    pipeline=[
                        dict(type="TransformBroadcaster", transforms=LOAD[:2]),
                        dict(type="PackTrackTestInputs"),
                    ],
                ),
            ),
            val_evaluator=dict(type="MOTMetric", backends=["trackeval"]),
            val_cfg=dict(type="FairMOTValLoop"),
            randomness=dict(seed=0),
        )
    )
    config.train_dataloader.dataset.half = "first"
    config.default_hooks.logger.type = "MasterLoggerHook"
    config.default_hooks.checkpoint = dict(
        type="SafeCheckpointHook", interval=1, save_best="mot/HOTA"
    )
    config.train_cfg.max_epochs = 2
    return config
