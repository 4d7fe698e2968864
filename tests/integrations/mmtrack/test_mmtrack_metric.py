"""MMTracking's metric beside the benchmark's protocol, on the same tracks."""

import shutil

import numpy as np
import pytest
import torch
from mmtrack.evaluation import MOTChallengeMetrics

from fairmot_mm.evaluation import COMBINED, evaluate, load_cases
from fairmot_mm.formats.mot import read_gt, read_sequence
from fairmot_mm.formats.mot_results import write_results

PEDESTRIAN, STATIC_PERSON = 1, 7
FIGURES = ("HOTA", "DetA", "AssA", "MOTA", "MOTP", "IDF1", "IDSW", "FP", "FN", "MT")


def tracks_near(lines):
    """Everybody is found, two pixels off; so are people on posters and in windows."""
    chosen = np.isin(lines.classes, (PEDESTRIAN, STATIC_PERSON))
    # Now and then not, and one identity is lost on the way.
    chosen &= (lines.frames + lines.ids) % 5 != 0
    lines = lines.select(chosen)
    ids = np.where((lines.ids == lines.ids[0]) & (lines.frames > 4), 999, lines.ids)
    boxes = lines.boxes + np.array((2, 1, 0, 0))
    return np.column_stack((lines.frames, ids, boxes, np.full(len(ids), 0.9)))


def by_benchmark(sequence, rows, folder):
    write_results(folder / f"{sequence.name}.txt", rows)
    return evaluate(load_cases([sequence], folder), "trackeval")[COMBINED]


def by_mmtracking(sequence, lines, rows):
    metric = MOTChallengeMetrics()
    for frame in range(1, sequence.length + 1):
        x, y, w, h = rows[rows[:, 0] == frame, 2:6].T
        metric.process(
            None,
            [
                dict(
                    frame_id=frame - 1,
                    video_length=sequence.length,
                    img_path=str(sequence.image_path(frame)),
                    instances=[
                        dict(
                            instance_id=lines.ids[i],
                            bbox=np.r_[box[:2], box[:2] + box[2:]],
                            mot_conf=lines.marks[i],
                            category_id=lines.classes[i],
                            visibility=lines.visibility[i],
                        )
                        for i in np.flatnonzero(lines.frames == frame)
                        for box in [lines.boxes[i]]
                    ],
                    pred_track_instances=dict(
                        instances_id=torch.tensor(rows[rows[:, 0] == frame, 1]),
                        bboxes=torch.tensor(np.column_stack((x, y, x + w, y + h))),
                        scores=torch.ones(len(x)),
                    ),
                )
            ],
        )
    found = metric.evaluate()
    return {key.removeprefix("motchallenge-metric/"): x for key, x in found.items()}


def figures(root, folder):
    """By the benchmark's protocol, and by MMTracking."""
    sequence = read_sequence(root)
    lines = read_gt(sequence)
    rows = tracks_near(lines)
    both = by_benchmark(sequence, rows, folder), by_mmtracking(sequence, lines, rows)
    return [{key: float(found[key]) for key in FIGURES} for found in both]


def test_equal_on_boxes_of_whole_pixels(real_sequence, tmp_path):
    benchmark, mmtracking = figures(real_sequence, tmp_path)
    assert mmtracking == pytest.approx(benchmark, abs=1e-6)
    assert 0 < benchmark["HOTA"] < 1
    assert benchmark["IDSW"] == 1


def test_both_forgive_tracks_on_distractors(real_sequence, tmp_path):
    assert (read_gt(read_sequence(real_sequence)).classes == STATIC_PERSON).any()
    assert [found["FP"] for found in figures(real_sequence, tmp_path)] == [0, 0]


def test_fractions_of_pixels_are_cut_off_the_ground_truth(synthetic, tmp_path):
    """What differs is explained by that: with it, the protocol finds the same."""
    root = synthetic / "SYN-00"
    benchmark, mmtracking = figures(root, tmp_path)
    assert mmtracking["MOTP"] < benchmark["MOTP"] - 0.01

    cut = tmp_path / "cut" / "SYN-00"
    shutil.copytree(root, cut)
    path = cut / "gt/gt.txt"
    lines = [line.split(",") for line in path.read_text().split()]
    path.write_text(
        "".join(
            ",".join([*line[:2], *(str(int(float(x))) for x in line[2:6]), *line[6:]])
            + "\n"
            for line in lines
        )
    )
    rows = tracks_near(read_gt(read_sequence(root)))
    expected = by_benchmark(read_sequence(cut), rows, tmp_path / "cut")
    assert mmtracking == pytest.approx(
        {key: float(expected[key]) for key in FIGURES}, abs=1e-3
    )
