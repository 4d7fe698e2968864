"""Start the processes of dist_train.sh and dist_test.sh: torchrun, with one error line.

The line is that of the process which failed first, and its status is that of this one.
"""

import logging
import sys
from pathlib import Path

from torch.distributed import run
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError


def main() -> int:
    """Run torchrun's command line."""
    logging.disable(logging.ERROR)  # its reports on the processes that it ends
    try:
        run.main()
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        message = failure.message
        if failure.exitcode > 0 and not Path(failure.error_file).is_file():
            message = f"status {failure.exitcode}, its traceback is above"
        print(f"error: process {rank}: {message}", file=sys.stderr)
        return max(failure.exitcode, 1)
    return 0


if __name__ == "__main__":
    sys.exit(main())
