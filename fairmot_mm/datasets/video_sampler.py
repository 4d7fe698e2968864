from collections.abc import Iterator

from mmdet.datasets import BaseVideoDataset
from mmdet.datasets.samplers import TrackImgSampler
from mmengine.dist import get_dist_info

from fairmot_mm.registry import DATA_SAMPLERS


@DATA_SAMPLERS.register_module()
class VideoSampler(TrackImgSampler):
    """Frames of whole videos in order, the videos shared out over the processes.

    MMDetection's sampler gives each process the same number of *videos* and refuses
    more processes than videos; this one balances *frames*, and a process may have none.

    Args:
        dataset: Dataset in test mode.
        seed: Not used; the runner hands it to every sampler.
    """

    def __init__(self, dataset: BaseVideoDataset, seed: int | None = None) -> None:
        rank, world_size = get_dist_info()
        lengths = [dataset.get_len_per_video(i) for i in range(len(dataset))]
        shares: list[list[int]] = [[] for _ in range(world_size)]
        loads = [0] * world_size
        # Longest first, each to the least loaded process: within 4/3 of the optimum.
        for video in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
            least = loads.index(min(loads))
            shares[least].append(video)
            loads[least] += lengths[video]
        self.indices = [
            (video, frame)
            for video in sorted(shares[rank])
            for frame in range(lengths[video])
        ]

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return iter(self.indices)

    def __len__(self) -> int:
        return len(self.indices)
