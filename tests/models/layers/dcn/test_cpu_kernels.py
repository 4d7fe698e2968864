import os
import subprocess
import sys

import pytest

SCRIPT = """
import sys, torch
from fairmot_mm.models import DCNv2
KERNELS = "fairmot_mm.models.layers.dcn.cpu_kernels"
assert KERNELS not in sys.modules, "compiled before a CPU needs it"
if {cacheless}:
    from numba.core import caching
    caching.CacheImpl._locator_classes = []
torch.set_num_threads(1)
conv = DCNv2(2, 2, 3, padding=1).requires_grad_(False)
image = torch.randn(1, 2, 4, 4)
expected = torch.nn.functional.conv2d(image, conv.weight / 2, conv.bias, padding=1)
assert torch.allclose(conv(image), expected, atol=1e-6)
assert KERNELS in sys.modules
"""


@pytest.mark.parametrize("cacheless", [False, True])
def test_kernels_are_compiled_when_needed_with_or_without_a_cache(cacheless):
    outcome = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(cacheless=cacheless)],
        env=os.environ | dict(OMP_NUM_THREADS="1"),
        capture_output=True,
        text=True,
    )
    assert outcome.returncode == 0, outcome.stderr
    assert ("set NUMBA_CACHE_DIR" in outcome.stderr) == cacheless
