import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from fairmot_mm.formats.images import write_image
from fairmot_mm.formats.mot import MOTSequence, write_sequence_info

from .scene import Scene
from .sprite import DISTRACTOR, PEDESTRIAN

MIN_VISIBILITY = 0.3  # less than this need be neither learnt nor detected
MIN_SIDE = 64  # pixels; people in smaller images are too small
_GT_LINE = "%d,%d,%.2f,%.2f,%.2f,%.2f,%d,%d,%.4f"


def make_dataset(
    root: Path,
    *,
    train_sequences: int,
    test_sequences: int,
    num_frames: int,
    num_people: int,
    size: tuple[int, int],
    seed: int,
    street_seed: int | None = None,
    backgrounds: Sequence[Path] = (),
    varied: bool = False,
    overwrite: bool = False,
    progress: Callable[[], object] | None = None,
) -> list[Path]:
    """Render a training and a test split in MOTChallenge's layout.

    Training sequences are ``root/train/SYN-01``, ``SYN-02``, ...; test sequences
    start at ``root/test/SYN-11`` (or after the last training sequence if there are
    more than ten). No person appears in two sequences. What a sequence shows depends
    on ``seed`` and its number only, not on how many others there are. In a folder that
    is not empty, ``overwrite`` replaces the ``SYN-*`` sequences and leaves other files
    alone. The other arguments are those of :func:`make_sequence`.

    Returns:
        The folders of the sequences, training first.

    Raises:
        ValueError: If an argument is out of range.
        FileExistsError: If ``root`` is not empty and ``overwrite`` not set.
    """
    _check_at_least(0, train_sequences=train_sequences, test_sequences=test_sequences)
    if train_sequences + test_sequences == 0:
        raise ValueError("train_sequences and test_sequences must not both be 0")
    _check_sequence_arguments(num_frames, num_people, size, seed)
    root = Path(root)
    if any(root.glob("*")) and not overwrite:
        raise FileExistsError(
            f"{root} is not empty: choose another folder, or set overwrite to "
            "replace the SYN-* sequences in it"
        )
    for old in [*root.glob("train/SYN-*"), *root.glob("test/SYN-*")]:
        shutil.rmtree(old)

    first_test = max(train_sequences, 10) + 1
    numbers = [("train", 1 + index) for index in range(train_sequences)]
    numbers += [("test", first_test + index) for index in range(test_sequences)]
    folders = []
    for split, number in numbers:
        # The split is part of the seed, so that a test sequence never repeats a
        # training one, however many sequences a call makes.
        entropy = (seed, number, int(split == "test"))
        child = np.random.SeedSequence(entropy).generate_state(1, np.uint64)
        folder = make_sequence(
            root / split,
            f"SYN-{number:02d}",
            num_frames=num_frames,
            num_people=num_people,
            size=size,
            seed=int(child[0]),
            street_seed=street_seed,
            backgrounds=backgrounds,
            varied=varied,
            progress=progress,
        )
        folders.append(folder)
    return folders


def make_sequence(
    root: Path,
    name: str,
    *,
    num_frames: int,
    num_people: int,
    size: tuple[int, int],
    seed: int,
    frame_rate: int = 15,
    street_seed: int | None = None,
    backgrounds: Sequence[Path] = (),
    varied: bool = False,
    progress: Callable[[], object] | None = None,
) -> Path:
    """Render one sequence: ``root/name`` with ``img1``, ``gt`` and ``seqinfo.ini``.

    ``gt/gt.txt`` has MOT17's nine columns: frame and identity (from 1), left, top,
    width, height (pixels; of the full body, so boxes may reach outside the image),
    mark, class and visibility, the share of the figure's pixels that the image shows.
    People are class 1 with mark 1. About every other sequence has a shop-window
    mannequin, class 7 with mark 0, which the evaluation ignores. So it does a person of
    whom less than ``MIN_VISIBILITY`` shows: class 8 with mark 0, by the same identity.

    Args:
        root: Folder of the split; it is created.
        name: Name of the sequence.
        num_frames: Number of frames.
        num_people: Number of people in or just entering the view at any time.
        size: Width and height of the images in pixels.
        seed: Same seed, same bytes.
        frame_rate: Frames per second; people walk at true speed.
        street_seed: Show the street of this seed, as other sequences may; that of
            ``seed`` if None.
        backgrounds: Folders of MOTChallenge sequences with ground truth: a part of one
            of them, without its people, is shown instead of a painted street.
        varied: Let ``seed`` draw the camera as well, half to twice as many people, blur
            and stronger noise: people to train on before other cameras' footage.
        progress: Called after every frame written.

    Returns:
        The folder of the sequence.

    Raises:
        ValueError: If an argument is out of range.
        FileExistsError: If ``root/name`` is not empty.
        FileNotFoundError: If a background has no ground truth.
        OSError: If an image cannot be read or written.
    """
    _check_sequence_arguments(num_frames, num_people, size, seed)
    _check_at_least(1, frame_rate=frame_rate)
    folder = Path(root) / name
    if any(folder.glob("*")):
        raise FileExistsError(f"{folder} is not empty: remove it or choose another")
    (folder / "gt").mkdir(parents=True, exist_ok=True)

    scene = Scene(size, num_people, seed, street_seed, backgrounds, varied)
    rows: list[tuple[float, ...]] = []
    for number in range(1, num_frames + 1):
        image, shown = scene.render()
        write_image(folder / "img1" / f"{number:06d}.jpg", image)
        for item, visibility in shown:
            if visibility > 0:
                left, top, right, bottom = item.sprite.box
                box = left, top, right - left, bottom - top
                category = item.category
                if category == PEDESTRIAN and visibility < MIN_VISIBILITY:
                    category = DISTRACTOR
                mark = category == PEDESTRIAN
                rows += [(number, item.identity, *box, mark, category, visibility)]
        scene.crowd.advance(1 / frame_rate)
        if progress is not None:
            progress()

    rows.sort(key=lambda row: row[1::-1])  # by identity, then frame, as in MOT17
    np.savetxt(folder / "gt" / "gt.txt", np.reshape(rows, (-1, 9)), _GT_LINE)
    write_sequence_info(MOTSequence(folder, name, num_frames, frame_rate, *size))
    return folder


def _check_at_least(lowest: int, **values: int) -> None:
    for name, value in values.items():
        if value < lowest:
            raise ValueError(f"{name} must be at least {lowest}, got {value}")


def _check_sequence_arguments(
    num_frames: int, num_people: int, size: tuple[int, int], seed: int
) -> None:
    _check_at_least(1, num_frames=num_frames, num_people=num_people)
    _check_at_least(0, seed=seed)
    if len(size) != 2 or min(size) < MIN_SIDE:
        raise ValueError(
            f"size must be (width, height), each at least {MIN_SIDE} pixels, got {size}"
        )
