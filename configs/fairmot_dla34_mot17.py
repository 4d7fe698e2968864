# FairMOT on MOT17 alone (Zhang et al., arXiv:2004.01888, section 4.2): trained on all
# training sequences, tracked on the same ones. For submissions track the test set:
#   --cfg-options test_dataloader.dataset.data_root=data/MOT17/test
# The published run starts from CenterNet's COCO weights (ctdet_coco_dla_2x, converted
# by tools/model_converters/fairmot2mm.py): set load_from to them.
_base_ = [
    "_base_/default_runtime.py",
    "_base_/fairmot_dla34.py",
    "_base_/mot_folder_data.py",
    "_base_/schedule_30e.py",
]

# MOT17 ships every sequence three times, once per public detector.
train_dataloader = dict(dataset=dict(data_root="data/MOT17/train", detector="SDP"))
test_dataloader = dict(dataset=dict(data_root="data/MOT17/train", detector="SDP"))
