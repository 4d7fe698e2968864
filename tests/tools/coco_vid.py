"""Annotations as MMTracking's converter writes them, of MOTChallenge folders."""

import json
from pathlib import Path

from fairmot_mm.datasets.mot_dataset import MOT_CLASSES
from fairmot_mm.datasets.mot_folder import find_sequences, read_gt


def write_annotations(root: Path, path: Path) -> dict:
    """Write the COCO-VID annotations of the sequences in ``root``."""
    categories = [dict(id=i + 1, name=name) for i, name in enumerate(MOT_CLASSES)]
    categories[5]["name"] = "non_mot_vehicle"
    videos, images, annotations, instances = [], [], [], {}
    for sequence in find_sequences(root):
        videos.append(
            dict(
                id=len(videos) + 1,
                name=sequence.name,
                fps=sequence.frame_rate,
                width=sequence.width,
                height=sequence.height,
            )
        )
        lines = read_gt(sequence)
        for frame in range(1, sequence.length + 1):
            image = sequence.image_path(frame)
            images.append(
                dict(
                    id=len(images) + 1,
                    video_id=len(videos),
                    file_name=str(image.relative_to(root)),
                    height=sequence.height,
                    width=sequence.width,
                    frame_id=frame - 1,
                    mot_frame_id=frame,
                )
            )
            for row in (lines.frames == frame).nonzero()[0]:
                key = sequence.name, int(lines.ids[row])
                box = lines.boxes[row].tolist()
                annotations.append(
                    dict(
                        id=len(annotations) + 1,
                        image_id=len(images),
                        category_id=int(lines.classes[row]),
                        bbox=box,
                        area=box[2] * box[3],
                        iscrowd=False,
                        visibility=float(lines.visibility[row]),
                        mot_instance_id=key[1],
                        mot_conf=float(lines.marks[row]),
                        instance_id=instances.setdefault(key, len(instances)),
                    )
                )
    content = dict(
        categories=categories,
        videos=videos,
        images=images,
        annotations=annotations,
        num_instances=len(instances),
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return content
