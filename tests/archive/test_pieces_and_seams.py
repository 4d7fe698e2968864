"""Videos are cut into pieces, and their tracks joined again."""

import itertools

import numpy as np
import pytest

from fairmot_mm.archive.pieces import cut
from fairmot_mm.archive.rows import RowsBuilder, TrackRows, concatenate, load, save
from fairmot_mm.archive.seams import SeamCounts, join_pieces

RATE = 10.0


@pytest.mark.parametrize("every", [1, 3])
@pytest.mark.parametrize("count", [1, 2, 99, 100, 101, 1000])
def test_pieces_cover_a_video(count, every):
    times = 7 + np.arange(count) / RATE
    pieces = cut("a", times, longest=10, overlap=1, every=every)
    assert len(pieces) == max(1, -(-count // 100))
    assert [piece.number for piece in pieces] == [*range(len(pieces))]
    for piece in pieces:
        begin, end = piece.section
        inside = np.flatnonzero((times >= begin) & (times < end))
        assert inside[0] == piece.first
        assert len(inside) == piece.num_frames
        assert piece.begin == pytest.approx(piece.first / RATE)
        assert piece.first % every == 0
    for one, other in itertools.pairwise(pieces):
        assert one.first + one.num_frames - other.first == 10
    assert pieces[0].first == 0
    assert pieces[-1].first + pieces[-1].num_frames == count
    lengths = [piece.num_frames for piece in pieces[:-1]]
    assert not lengths or max(lengths) - min(lengths) <= every


def walk(track, first, last, x=0.0, y=50.0, kind=0, speed=2.0):
    """Rows of a person who walks to the right; frames count from 1."""
    frames = np.arange(first, last + 1)
    count = len(frames)
    boxes = np.column_stack(
        (x + speed * frames, *(np.full(count, v) for v in (y, 20, 50)))
    )
    looks = np.tile(np.eye(4, dtype=np.float16)[kind], (count, 1))
    whole = np.full(count, track), np.zeros(count, int)
    score = np.full(count, 0.9, np.float32)
    return TrackRows(
        frames, (frames - 1) / RATE, *whole, boxes.astype(np.float32), score, looks
    )


def ordered(*parts):
    rows = concatenate(parts)
    return rows.renumbered(rows.tracks)


def join(*pieces, ends, max_gap=10):
    counts = SeamCounts()
    joined = concatenate(list(join_pieces(iter(pieces), ends, max_gap, counts)))
    return joined, counts


def spans(rows):
    """First and last frame of each track."""
    tracks = np.unique(rows.tracks).tolist()
    frames = {track: rows.frames[rows.tracks == track] for track in tracks}
    return {track: (x.min(), x.max(), len(x)) for track, x in frames.items()}


END = 11.99  # seconds: the first piece has frames up to 120


def test_tracks_go_on_over_a_seam():
    """Two people; the second piece numbers them the other way round."""
    first = ordered(walk(1, 1, 120), walk(2, 1, 120, y=200, kind=1))
    second = ordered(walk(2, 101, 220), walk(1, 101, 220, y=200, kind=1))
    rows, counts = join(first, second, ends=[END, 30])
    assert spans(rows) == {1: (1, 220, 220), 2: (1, 220, 220)}
    assert set(rows.boxes[rows.tracks == 1, 1]) == {50}
    assert counts == SeamCounts(by_overlap=2)


def test_who_comes_later_gets_a_new_number():
    first = walk(1, 1, 120)
    # Another one has number 1 in the second piece, and comes after the seam.
    second = ordered(walk(1, 130, 220, y=200), walk(2, 101, 220))
    rows, counts = join(first, second, ends=[END, 30])
    assert spans(rows) == {1: (1, 220, 220), 2: (130, 220, 91)}
    assert counts == SeamCounts(by_overlap=1, new=1)


@pytest.mark.parametrize(
    ("start", "kind", "found"), [(126, 0, True), (126, 1, False), (140, 0, False)]
)
def test_who_was_hidden_at_a_seam_is_found_again(start, kind, found):
    """Lost on frame 118: looks the same or not, within ten frames or not."""
    first = walk(1, 1, 118)
    second = walk(7, start, 220, kind=kind)
    rows, counts = join(first, second, ends=[END, 30])
    assert len(spans(rows)) == (1 if found else 2)
    assert counts.by_appearance == found


def test_who_was_hidden_over_a_short_piece_is_found_again():
    pieces = walk(1, 1, 118), walk(5, 125, 125, y=400), walk(7, 127, 220)
    rows, _ = join(*pieces, ends=[END, 12.55, 30], max_gap=20)
    assert spans(rows) == {1: (1, 220, 212), 2: (125, 125, 1)}


def test_the_later_of_two_numbers_goes_on():
    """In the overlap the first piece changes a person's number, on frame 110."""
    first = ordered(walk(1, 1, 109), walk(2, 110, 120))
    rows, _ = join(first, walk(1, 101, 220), ends=[END, 30])
    assert spans(rows) == {1: (1, 109, 109), 2: (110, 220, 111)}


def test_classes_are_not_mixed():
    first, second = walk(1, 1, 120), walk(1, 101, 220)
    second.labels[:] = 1
    rows, _ = join(first, second, ends=[END, 30])
    assert len(spans(rows)) == 2


def test_pieces_without_tracks():
    nothing = concatenate([])
    rows, _ = join(nothing, walk(3, 130, 140), nothing, ends=[END, 20, 30])
    assert spans(rows) == {1: (130, 140, 11)}
    rows, _ = join(nothing, nothing, ends=[END, 30])
    assert len(rows) == 0


def test_random_crowds_never_share_a_number():
    """Tracks at random: each box once, and no number twice in a frame."""
    rng = np.random.default_rng(0)
    for _ in range(20):
        pieces = []
        for number in range(4):
            tracks = []
            for track in rng.permutation(8):
                one, other = np.sort(rng.integers(1, 121, 2)) + 100 * number
                place = dict(x=rng.uniform(0, 100), y=rng.uniform(0, 100))
                tracks.append(walk(int(track) + 1, one, other, **place, speed=0.1))
            pieces.append(ordered(*tracks))
        ends = [12 + 10 * number - 0.01 for number in range(4)]
        rows, _ = join(*pieces, ends=ends)
        keys = set(zip(rows.frames.tolist(), rows.tracks.tolist(), strict=True))
        assert len(keys) == len(rows)
        begins = [-1.0, *ends]
        expected = sum(
            int((piece.times >= begin).sum())
            for piece, begin in zip(pieces, begins, strict=False)
        )
        assert len(rows) == expected


def test_rows_survive_a_file(tmp_path):
    rows = walk(3, 1, 20)
    path = tmp_path / "rows.npz"
    path.write_bytes(save(rows))
    for name, column in vars(load(str(path))).items():
        np.testing.assert_array_equal(column, getattr(rows, name))


def test_a_builder_without_tracks_gives_no_rows():
    assert len(RowsBuilder(True).rows()) == 0
