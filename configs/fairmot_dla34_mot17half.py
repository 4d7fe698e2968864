# Ablation split: trained on the first half of every MOT17 training sequence, tracked
# on the second (Zhang et al., arXiv:2004.01888, section 4.3).
_base_ = "fairmot_dla34_mot17.py"

train_dataloader = dict(dataset=dict(half="first"))
test_dataloader = dict(dataset=dict(half="second"))
