import torch
from torch.testing import assert_close

from neuray_mrvm import geometry


def test_rays_are_those_of_the_reference(reference, query):
    wanted = reference("geometry")
    rays = geometry.query_rays(query, wanted["coords"][0])
    assert_close(rays.center.expand(60, 3), wanted["ray_centers"][0], atol=1e-5, rtol=0)
    assert_close(rays.directions, wanted["ray_directions"][0], atol=1e-5, rtol=0)
    assert_close(rays.points(wanted["sample_depth8"][0]), wanted["que_pts"][0], atol=1e-5, rtol=1e-6)
    to_camera = rays.to_camera()[:, None].expand(-1, 8, -1)
    assert_close(to_camera, wanted["que_dir"][0], atol=1e-5, rtol=0)


def test_projections_and_look_ups_are_those_of_the_reference(reference, references, array):
    wanted = reference("geometry")
    seen = geometry.project_points(references, wanted["pts"])
    assert torch.equal(seen.valid, wanted["prj_valid"].bool())
    assert_close(seen.pixels, wanted["prj_pts"], atol=1e-5, rtol=1e-5)
    assert_close(seen.depth, wanted["prj_depth"][..., 0], atol=1e-5, rtol=1e-5)
    assert_close(seen.directions, wanted["prj_dir"], atol=1e-5, rtol=0)
    valid = seen.valid[..., None]
    quarter, full = array("geo_fm", (4, 6, 16, 20)), array("geo_fl", (4, 4, 64, 80))
    found = [geometry.look_up(maps, wanted["prj_pts"], (64, 80)) * valid for maps in (quarter, full)]
    assert_close(found[0], wanted["interp_quarter"], atol=1e-4, rtol=0)
    assert_close(found[1], wanted["interp_full"], atol=1e-4, rtol=0)
    zeros = geometry.look_up(full, wanted["prj_pts"], (64, 80), "zeros")
    assert_close(zeros, wanted["interp_feats_zeros_true"], atol=1e-4, rtol=0)


def test_true_colours_are_those_of_the_pixels(reference, query):
    wanted = reference("geometry")
    colors = geometry.look_up(query.imgs, wanted["coords"], query.size, "zeros")
    assert_close(colors, wanted["pixel_colors_gt"], atol=1e-4, rtol=0)


def test_direction_differences_are_those_of_the_reference(reference, array):
    wanted = reference("geometry")
    towards_query = torch.nn.functional.normalize(array("geo_qd", (1, 20, 4, 3)), dim=-1)[0]
    found = geometry.direction_differences(wanted["prj_dir"].view(4, 20, 4, 3), towards_query)
    assert_close(found.permute(1, 2, 0, 3), wanted["dir_diff"], atol=1e-5, rtol=0)


def test_a_point_on_a_pixels_ray_projects_to_that_pixel(references):
    coords = torch.tensor([[0.0, 0.0], [79.0, 63.0], [12.5, 40.25]])
    for view in range(len(references)):
        camera = references.select(torch.tensor([view]))
        points = geometry.query_rays(camera, coords).points(torch.tensor([[2.0, 5.0]]).expand(3, -1))
        seen = geometry.project_points(camera, points)
        assert_close(seen.pixels[0], coords[:, None].expand(-1, 2, -1), atol=1e-4, rtol=0)
        assert_close(seen.depth[0], torch.tensor([[2.0, 5.0]]).expand(3, -1), atol=1e-5, rtol=0)
        assert seen.valid.all()


def test_every_pixel_of_a_picture_is_asked_row_by_row(query):
    coords = geometry.picture_coords(query)
    assert coords.shape == (1, 64 * 80, 2)
    assert coords[0, 81].tolist() == [1.0, 1.0]
