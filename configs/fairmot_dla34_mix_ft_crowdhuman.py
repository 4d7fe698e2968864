# The published model: the mixture, from weights that were trained on CrowdHuman by
# fairmot_dla34_crowdhuman.py. Its identity classifier is not taken over.
_base_ = "fairmot_dla34_mix.py"

load_from = "work_dirs/fairmot_dla34_crowdhuman/epoch_60.pth"
