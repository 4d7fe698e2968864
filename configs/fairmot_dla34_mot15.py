# Fine-tuning on MOT15 (2DMOT2015) from the published model, see
# fairmot_dla34_mix_ft_crowdhuman.py. MOT15's archive has no seqinfo.ini: see
# docs/datasets.md.
_base_ = "fairmot_dla34_mot17.py"

load_from = "work_dirs/fairmot_dla34_mix_ft_crowdhuman/epoch_30.pth"

train_dataloader = dict(dataset=dict(data_root="data/MOT15/train", detector=None))
test_dataloader = dict(dataset=dict(data_root="data/MOT15/train", detector=None))
model = dict(tracker=dict(obj_score_thr=0.3))

train_cfg = dict(max_epochs=20)
param_scheduler = [dict(type="MultiStepLR", by_epoch=True, milestones=[15], gamma=0.1)]
