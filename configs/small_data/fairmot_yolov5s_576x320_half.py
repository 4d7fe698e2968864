# Trained on the first half of each of the five sequences, tracked on the second halves.
_base_ = "fairmot_yolov5s_576x320.py"

sequences = [*_base_.sequences, "TUD-Stadtmitte"]
train_dataloader = dict(
    dataset=dict(
        repeats=[1, 1, 1, 2, 2, 25, 4],
        datasets=[
            *(
                dict(
                    type="MOTFrameDataset",
                    data_root=_base_.data_root,
                    sequences=[name],
                    half="first",
                )
                for name in sequences
            ),
            *_base_.train_dataloader.dataset.datasets[-2:],  # stills and COCO
        ],
    )
)
test_dataloader = dict(dataset=dict(sequences=sequences, half="second"))
