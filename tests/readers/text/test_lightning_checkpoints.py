"""Lines of Lightning's ModelCheckpoint between its bars are events: the bar shows the value, and counts in epochs."""

import numpy as np

from lmdiag.judging.reading import runs_of
from lmdiag.sources.source import Source


def test_a_message_of_a_checkpoint_is_no_record():
    lines = []
    for epoch in range(6):
        loss = 5 - 0.4 * epoch
        lines.append(
            f"Epoch {epoch}: 100%|####| 50/50 [00:05<00:00, 9.90it/s, v_num=0, train_loss={loss:.3f}, val_loss={loss + 0.1:.3f}]"
        )
        said = (
            f"reached {loss + 0.1:.5f} (best {loss + 0.1:.5f}), saving model to '/x/a.ckpt' as top 1"
            if epoch
            else "was not in top 1"
        )
        lines.append(f"Epoch {epoch}, global step {50 * (epoch + 1)}: 'val_loss' {said}")
    (run,) = runs_of(Source("a.log", content="\n".join(lines).encode()))
    assert run["loss"].steps.tolist() == run["val/loss"].steps.tolist() == (50 * np.arange(1, 7)).tolist()
    assert [event.step for event in run.events if event.kind == "checkpoint_saved"] == [100, 150, 200, 250, 300]
