# FairMOT with plain convolutions where fairmot_dla34_mot17.py has deformable ones:
# less accurate, faster, and made of operators that every exporter knows.
_base_ = "fairmot_dla34_mot17.py"

model = dict(neck=dict(use_dcn=False))
