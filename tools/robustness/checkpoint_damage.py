"""Cut and flip checkpoints at random and check that none loads with other weights."""

import argparse
import json
import sys
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
import torch
from mmengine.registry import init_default_scope

from fairmot_mm.checkpoints import load_for_tracking
from fairmot_mm.registry import MODELS

MODEL = dict(
    type="FairMOT",
    backbone=dict(
        type="mmdet.CSPDarknet",
        deepen_factor=0.33,
        widen_factor=0.125,
        out_indices=(1, 2, 3, 4),
    ),
    neck=dict(type="CSPNeck", in_channels=(16, 32, 64, 128)),
    bbox_head=dict(type="FairMOTHead", in_channels=16, feat_channels=16),
    reid_head=dict(type="EmbeddingHead", in_channels=16, feat_channels=16, num_ids=5),
)


def main() -> None:
    """Damage checkpoints and print what happened."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="file for the counts, as JSON")
    args = parser.parse_args()
    counts = run(args.count, args.seed)
    print(json.dumps(counts, indent=1))
    if args.out is not None:
        args.out.write_text(json.dumps(counts, indent=1))
    sys.exit(counts["failed"] > 0)


def run(count: int, seed: int) -> Counter[str]:
    """Damage a checkpoint ``count`` times; failures are printed.

    Returns:
        How often it was ``refused``, loaded with the ``same weights``, or ``failed``.
    """
    init_default_scope("fairmot_mm")
    torch.manual_seed(seed)
    model = MODELS.build(MODEL)
    expected = {key: value.clone() for key, value in model.state_dict().items()}
    outcomes = Counter({"refused": 0, "same weights": 0, "failed": 0})
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "epoch_1.pth"
        torch.save(dict(state_dict=expected, meta=dict(epoch=1)), path)
        content = path.read_bytes()
        for number in range(count):
            rng = np.random.default_rng((seed, number))
            path.write_bytes(damage(content, rng))
            outcome, reason = judge(model, path, expected)
            outcomes[outcome] += 1
            if reason:
                print(f"{number}: {reason}", file=sys.stderr)
    return outcomes


def damage(content: bytes, rng: np.random.Generator) -> bytes:
    """Cut the file, flip some of its bits, or overwrite a block with zeros."""
    kind, at = rng.integers(3), int(rng.integers(len(content)))
    if kind == 0:
        return content[:at]
    changed = bytearray(content)
    if kind == 1:
        for place in rng.integers(len(content), size=rng.integers(1, 9)).tolist():
            changed[place] ^= 1 << int(rng.integers(8))
    else:
        size = min(4096, len(content) - at)
        changed[at : at + size] = bytes(size)
    return bytes(changed)


def judge(
    model: torch.nn.Module, path: Path, expected: dict[str, torch.Tensor]
) -> tuple[str, str]:
    """Outcome of loading a damaged checkpoint, and why it failed."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    try:
        load_for_tracking(model, path)
    except (ValueError, OSError) as error:
        if path.name not in str(error):
            return "failed", f"the error does not name the file: {error}"
        return "refused", ""
    except Exception as error:
        return "failed", f"{type(error).__name__}: {error}"
    loaded = model.state_dict()
    wrong = [key for key in expected if not torch.equal(loaded[key], expected[key])]
    if wrong:
        return "failed", f"other weights in {len(wrong)} tensors, such as {wrong[0]}"
    return "same weights", ""


if __name__ == "__main__":
    main()
