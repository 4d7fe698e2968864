# MOT17 at 864 x 480, for faster tracking.
_base_ = "fairmot_dla34_mot17.py"

train_dataloader = test_dataloader = dict(dataset=dict(input_size=(864, 480)))
