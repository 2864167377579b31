# SPDX-License-Identifier: GPL-2.0
"""Tests import the runner's modules as the runner does: by their bare names."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
