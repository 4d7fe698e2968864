# The published mixture at 576 x 320, for faster tracking.
_base_ = "fairmot_dla34_mix.py"

train_dataloader = test_dataloader = dict(dataset=dict(input_size=(576, 320)))
