# FairMOT on a ResNet-34 with a feature pyramid of deformable convolutions; published
# start: torchvision://resnet34.
_base_ = "fairmot_resdcn34_mot17.py"

model = dict(neck=dict(_delete_=True, type="DeconvFPNNeck"))
