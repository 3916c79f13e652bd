import pytest
import torch
from torch.nn.functional import normalize

from common.ops.hash_grid import HashGridLayout
from xscale_nvs.networks.model import XscaleModel
from xscale_nvs.networks.painter import Painter


@pytest.mark.parametrize("exposures", [3, None])
@pytest.mark.parametrize("samples", [1, 4])
def test_a_painter_gives_the_models_colours(golden_state, exposures, samples):
    model = XscaleModel(HashGridLayout(4, 2, 8, 4, 1.5), hidden=16, num_exposures=exposures)
    model.load_state_dict(golden_state(model, "painter/"))
    generator = torch.Generator().manual_seed(0)
    xyz = torch.rand(5000, samples, 3, generator=generator)
    viewdr = normalize(torch.randn(5000, samples, 3, generator=generator), dim=-1)
    light, exposure = model.light_code(torch.tensor([0])), model.exposure_code()
    with torch.no_grad():
        want = model(xyz[None], viewdr[None], light, exposure)[0]
    torch.testing.assert_close(Painter(model, light, exposure, 1000)(xyz, viewdr), want, rtol=0, atol=2e-5)


def test_nothing_to_paint_is_no_colour():
    model = XscaleModel(HashGridLayout(1, 1, 3, 2, 1.0), hidden=4)
    painter = Painter(model, model.light_code(torch.tensor([0])), None, 10)
    assert painter(torch.zeros(0, 1, 3), torch.zeros(0, 1, 3)).shape == (0, 3)
