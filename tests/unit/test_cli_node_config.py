"""What an operator's file may say."""

import stat

import pytest

from flocknode.cli.node_config import FILE_NAME, NodeConfig, load_node_config
from flocknode.errors import ConfigurationError

CONFIG = NodeConfig(
    listen="/ip4/127.0.0.1/tcp/1",
    rpc=("http://one", "http://two"),
    task=0,
    links=(),
    neighbours=(),
    poll_seconds=1.0,
)


def test_what_is_saved_is_loaded(tmp_path):
    CONFIG.save(tmp_path)
    assert load_node_config(tmp_path) == CONFIG
    assert stat.S_IMODE((tmp_path / FILE_NAME).stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('rpc = "http://one"', "'rpc' is not of type list"),
        ("rpc = [1]", "'rpc' is not a list of strings"),
        ("rpc = []", "'rpc' names no endpoint"),
    ],
)
def test_endpoints_of_another_shape_are_refused(tmp_path, line, words):
    CONFIG.save(tmp_path)
    path = tmp_path / FILE_NAME
    kept = [one for one in path.read_text().splitlines() if not one.startswith("rpc")]
    path.write_text("\n".join([*kept, line]))
    with pytest.raises(ConfigurationError, match=words):
        load_node_config(tmp_path)


@pytest.mark.parametrize("seconds", ["0.0", "-1.0", "nan", "inf", "61.0"])
def test_pause_that_no_poll_can_make_is_refused(tmp_path, seconds):
    CONFIG.save(tmp_path)
    path = tmp_path / FILE_NAME
    path.write_text(path.read_text().replace("poll_seconds = 1.0", f"poll_seconds = {seconds}"))
    with pytest.raises(ConfigurationError, match="'poll_seconds' is"):
        load_node_config(tmp_path)
