import torch

from gefu.networks import nerf


def outputs_and_gradients():
    torch.manual_seed(0)
    field = nerf.SpatialViewAggregator(8).double()
    voxels = torch.rand(1, 16, 16, 4, nerf.VOXEL_CHANNELS, dtype=torch.float64, requires_grad=True)
    views = torch.rand(1, 3, 16, 16, 4, 8 + 3 + nerf.DIRECTION_CHANNELS, dtype=torch.float64, requires_grad=True)
    outputs = field(voxels, views)
    sum(output.square().sum() for output in outputs).backward()
    used = [parameter.grad for parameter in field.parameters() if parameter.grad is not None]
    return [*outputs, voxels.grad, views.grad, *used]


def test_strips_that_are_computed_again_change_neither_results_nor_gradients(monkeypatch):
    monkeypatch.setattr(nerf, "_recomputed", lambda function, *values: function(*values))
    whole = outputs_and_gradients()
    monkeypatch.undo()
    monkeypatch.setattr(nerf, "STRIP_SAMPLES", 3 * 16 * 4)  # three rows
    strips = outputs_and_gradients()
    assert len(strips) == len(whole) > 20
    for one, other in zip(strips, whole, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-12)
