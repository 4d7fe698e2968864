from .run import ArchiveSummary, Progress, track_archive

__all__ = ["ArchiveSummary", "Progress", "track_archive"]
