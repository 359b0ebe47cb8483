# SPDX-License-Identifier: Apache-2.0
"""The committed table of AWS calls is what its generator makes of botocore's models."""

import re
import subprocess
from pathlib import Path

import botocore
import pytest

DELIVERY = Path(__file__).resolve().parents[2] / "delivery"


def test_the_table_of_aws_calls_is_fresh(tmp_path):
    committed = (DELIVERY / "aws_calls.inc").read_text()
    made_with = re.search(r"botocore ([0-9.]+) knows", committed).group(1)
    if botocore.__version__ != made_with:  # another one knows other calls
        pytest.skip(f"made with botocore {made_with}, here is {botocore.__version__}")
    made = tmp_path / "aws_calls.inc"
    subprocess.run(["/usr/bin/python3", str(DELIVERY / "generate_calls.py"), "--out", str(made)],
                   check=True, timeout=600)
    assert made.read_text() == committed, "run delivery/generate_calls.py"
