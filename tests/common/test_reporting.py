import logging

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from common.reporting import RunningValues, configure_logging, progress_line, scalar_writer


def test_running_values_forget_what_is_older_than_the_window():
    values = RunningValues(window=3)
    for number in (100.0, 1.0, 2.0, 6.0):
        values.update({"loss": number})
    assert values.means() == {"loss": 3.0}
    assert values.medians() == {"loss": 2.0}


def test_the_progress_line_says_what_is_left():
    line = progress_line(3725.4, 2, 30, {"loss": 0.125}, 5e-4)
    assert line.startswith("eta: 1:02:05  epoch: 2  step: 30  loss: 0.1250  lr: 0.0005")


def test_scalars_reach_the_file_even_when_the_block_fails(tmp_path):
    with pytest.raises(RuntimeError), scalar_writer(tmp_path, enabled=True) as writer:
        writer.write("train", {"loss": 0.5, "psnr": 20.0}, 7)
        raise RuntimeError("stop")
    events = EventAccumulator(str(tmp_path)).Reload()
    (event,) = events.Scalars("train/loss")
    assert (event.step, event.value) == (7, 0.5)
    assert {"train/loss", "train/psnr"} <= set(events.Tags()["scalars"])


def test_other_processes_write_nothing(tmp_path):
    with scalar_writer(tmp_path, enabled=False) as writer:
        assert writer is None
    assert not list(tmp_path.iterdir())


def test_only_the_main_process_logs_progress():
    configure_logging(is_main_process=False)
    assert logging.getLogger().level == logging.WARNING
    configure_logging()
    assert logging.getLogger().level == logging.INFO
