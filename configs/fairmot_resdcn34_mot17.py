# FairMOT on a ResNet-34; published start: torchvision://resnet34.
_base_ = "fairmot_resdcn18_mot17.py"

model = dict(backbone=dict(depth=34))
