# The published mixture at 576 x 320, for faster tracking.
_base_ = "fairmot_dla34_mix.py"

input_size = (576, 320)
train_pipeline = _base_.train_pipeline
train_pipeline[2].size = input_size
test_pipeline = _base_.test_pipeline
test_pipeline[0].transforms[1].size = input_size
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
