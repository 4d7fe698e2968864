r"""Write the seqinfo.ini that MOT15's archive lacks.

    python tools/dataset_converters/write_seqinfo.py data/MOT15/train --frame-rate 25

Folders that have one are left alone. Name, length and size are taken from the images.
The frame rate is on the data set's page; only tracking uses it.
"""

import argparse
import sys
from pathlib import Path

from fairmot_mm.utils.command_line import Parser, command


def make_parser() -> Parser:
    """Describe the command line."""
    parser = Parser(__doc__)
    parser.add_argument("root", type=Path, help="folder of sequences")
    parser.add_argument("--frame-rate", type=float, required=True)
    return parser


def write_seqinfo(folder: Path, frame_rate: float) -> None:
    """Describe the sequence in a folder.

    Raises:
        FileNotFoundError: There are no images in ``img1``.
        ValueError: The images are not numbered from 1 without gaps.
    """
    from fairmot_mm.formats.images import frame_images, image_size
    from fairmot_mm.formats.mot import MOTSequence, folder_name, write_sequence_info

    images, numbers = frame_images(folder / "img1")
    if numbers.tolist() != list(range(1, len(images) + 1)):
        raise ValueError(
            f"{folder / 'img1'}: images are not numbered from 1 to {len(images)}"
        )
    write_sequence_info(
        MOTSequence(
            folder,
            folder_name(folder),
            len(images),
            frame_rate,
            *image_size(images[0]),
            extension=Path(images[0]).suffix,
        )
    )


@command(make_parser)
def main(args: argparse.Namespace) -> None:
    """Go through the folders of a split."""
    folders = [p.parent for p in sorted(args.root.glob("*/img1"))]
    if not folders:
        raise FileNotFoundError(f"{args.root}: no folders with img1 in it")
    for folder in folders:
        if not (folder / "seqinfo.ini").is_file():
            write_seqinfo(folder, args.frame_rate)
            print(f"{folder / 'seqinfo.ini'} written")


if __name__ == "__main__":
    sys.exit(main())
