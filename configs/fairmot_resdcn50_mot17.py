# FairMOT on a ResNet-50; published start: torchvision://resnet50.
_base_ = "fairmot_resdcn18_mot17.py"

model = dict(backbone=dict(depth=50), neck=dict(in_channels=2048))
