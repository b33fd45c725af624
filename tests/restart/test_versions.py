"""Directories that earlier versions wrote are read."""

import shutil
from pathlib import Path

from restart.everything import assert_furnished

HERE = Path(__file__).parent


def test_a_directory_of_version_1_is_served_with_everything_in_it(home):
    """Written by `furnish` and a stop that was clean."""
    shutil.copytree(HERE / "version-1", home.data)
    home.start()
    assert_furnished(home)
    home.stop()
    checked = home.command("check", home.data)
    assert checked.returncode == 0, checked.stdout
