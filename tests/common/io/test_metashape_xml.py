import cv2
import numpy as np
import pytest

from common.datasets.scene import Distortion
from common.io.metashape_xml import read_metashape_xml, resolve_sensor, world_to_cam_of

SENSOR = """<sensor id="4" type="frame"><resolution width="200" height="100"/>
<calibration type="frame" class="initial"><f>999</f></calibration>
<calibration type="frame" class="adjusted"><resolution width="200" height="100"/>%s</calibration></sensor>"""
POSE = "1 0 0 0.5 0 0 -1 1 0 1 0 -2 0 0 0 1"
CAMERA = f'<camera id="7" sensor_id="4" label="IMG_7"><transform>{POSE}</transform></camera>'


def document(sensor="<f>150</f>", cameras=CAMERA, rest=""):
    return (
        f'<?xml version="1.0"?><document><chunk label="one"><sensors>{SENSOR % sensor}</sensors>'
        f"<cameras>{cameras}</cameras>{rest}</chunk></document>"
    )


@pytest.fixture
def read(tmp_path):
    def read_text(text):
        (tmp_path / "cameras.xml").write_text(text)
        return read_metashape_xml(tmp_path / "cameras.xml")

    return read_text


def test_the_adjusted_calibration_counts_and_missing_parameters_are_zero(read):
    intrinsics, lens = resolve_sensor(read(document())[0].sensors["4"], "here")
    np.testing.assert_array_equal(intrinsics, [[150, 0, 100], [0, 150, 50], [0, 0, 1]])
    assert lens is None


def test_the_initial_calibration_is_used_where_there_is_no_other(read):
    text = document().replace('class="adjusted"', 'class="initial"')
    assert read(text)[0].sensors["4"].calibration["f"] == 999


def test_offsets_affinity_and_skew_enter_the_intrinsics(read):
    chunk = read(document("<f>150</f><cx>3</cx><cy>-2</cy><b1>5</b1><b2>7</b2>"))[0]
    intrinsics, _ = resolve_sensor(chunk.sensors["4"], "here")
    np.testing.assert_array_equal(intrinsics, [[155, 7, 103], [0, 150, 48], [0, 0, 1]])


def test_p1_and_p2_change_places_for_opencv(read):
    chunk = read(document("<f>1</f><k1>.1</k1><k2>.2</k2><k3>.3</k3><p1>.4</p1><p2>.5</p2>"))[0]
    lens = resolve_sensor(chunk.sensors["4"], "here")[1]
    assert lens == Distortion("opencv", (0.1, 0.2, 0.5, 0.4, 0.3))
    # Metashape: x' = x (1 + k1 r^2 + k2 r^4 + k3 r^6) + p1 (r^2 + 2 x^2) + 2 p2 x y, and symmetrically for y
    x, y = 0.3, -0.2
    square = x * x + y * y
    radial = 1 + 0.1 * square + 0.2 * square**2 + 0.3 * square**3
    expected = [
        x * radial + 0.4 * (square + 2 * x * x) + 2 * 0.5 * x * y,
        y * radial + 0.5 * (square + 2 * y * y) + 2 * 0.4 * x * y,
    ]
    found = cv2.projectPoints(np.array([[x, y, 1.0]]), np.zeros(3), np.zeros(3), np.eye(3), np.array(lens.coefficients))
    np.testing.assert_allclose(found[0][0, 0], expected, atol=1e-12)


def test_a_pose_without_chunk_transform_is_inverted_as_it_is(read):
    chunk = read(document())[0]
    world_to_cam = world_to_cam_of(chunk.cameras[0], chunk)
    cam_to_world = np.array(POSE.split(), dtype=float).reshape(4, 4)
    np.testing.assert_allclose(world_to_cam @ cam_to_world, np.eye(4), atol=1e-15)


def test_chunk_and_component_transforms_move_the_centre_and_leave_a_rotation(read):
    component = '<component id="2"><transform><translation>10 0 0</translation></transform></component>'
    parts = "<rotation>0 -1 0 1 0 0 0 0 1</rotation><translation>0 0 100</translation><scale>2</scale>"
    rest = f"<components>{component}</components><transform>{parts}</transform>"
    camera = CAMERA.replace("sensor_id", 'component_id="2" sensor_id')
    chunk = read(document(cameras=camera, rest=rest))[0]
    world_to_cam = world_to_cam_of(chunk.cameras[0], chunk)
    rotation = world_to_cam[:3, :3]
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)
    # Centre (0.5, 1, -2): the component moves x by 10, the chunk turns by 90 degrees about z, doubles and lifts.
    np.testing.assert_allclose(-rotation.T @ world_to_cam[:3, 3], [2 * -1, 2 * 10.5, 2 * -2 + 100], atol=1e-12)
    local = world_to_cam_of(chunk.cameras[0], chunk, local=True)
    np.testing.assert_allclose(-local[:3, :3].T @ local[:3, 3], [10.5, 1, -2], atol=1e-12)


def test_cameras_in_nested_groups_disabled_and_unaligned_ones_are_all_listed(read):
    cameras = (
        f'<group id="0"><group id="1">{CAMERA}</group></group>'
        f'<camera id="8" sensor_id="4" label="off" enabled="false"><transform>{POSE}</transform></camera>'
        '<camera id="9" sensor_id="4" label="lost"/>'
    )
    found = read(document(cameras=cameras))[0].cameras
    assert [(item.label, item.enabled, item.cam_to_component is None) for item in found] == [
        ("IMG_7", True, False),
        ("off", False, False),
        ("lost", True, True),
    ]


@pytest.mark.parametrize(
    ("sensor", "sentence"),
    [
        ("<cx>3</cx>", "has no calibration with a focal length"),
        ("<f>150</f><k4>0.1</k4>", "uses the lens parameter k4; export undistorted"),
        ("<f>150</f><p3>0.1</p3>", "uses the lens parameter p3; export undistorted"),
        ("<f>wide</f>", "sensor 4, f must hold 1 finite numbers, got 'wide'"),
        ("<f>nan</f>", "sensor 4, f must hold 1 finite numbers"),
    ],
)
def test_calibrations_that_cannot_be_honoured_are_refused(read, sensor, sentence):
    with pytest.raises(ValueError, match=sentence):
        resolve_sensor(read(document(sensor))[0].sensors["4"], "here")


def test_other_kinds_of_lenses_are_refused_by_name(read):
    chunk = read(document().replace('<sensor id="4" type="frame">', '<sensor id="4" type="fisheye">'))[0]
    with pytest.raises(ValueError, match="type 'fisheye'; only 'frame'"):
        resolve_sensor(chunk.sensors["4"], "here")


BOMB = '<!DOCTYPE d [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]><document><chunk>&b;</chunk></document>'
LEAK = '<!DOCTYPE d [<!ENTITY a SYSTEM "file:///etc/passwd">]><document><chunk label="&a;"/></document>'


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("<document>\n<chunk>\n</document>", r"cameras\.xml:3 is not valid XML"),
        ("<document/>", "has no <chunk>"),
        (BOMB, "declares XML entities"),
        (LEAK, "declares XML entities"),
        ('<?xml version="1.0" encoding="klingon"?><document/>', r"cameras\.xml is not valid XML"),
        (document(cameras=CAMERA.replace("0.5", "1e200")), "transform must hold 16 finite numbers"),
        ("not xml", r"cameras\.xml:1 is not valid XML"),
        (
            document(cameras=CAMERA.replace("0.5", "nan")),
            r"camera 7 \('IMG_7'\), transform must hold 16 finite numbers",
        ),
        (document(cameras=CAMERA.replace("0 0 0 1<", "<")), "transform must hold 16 finite numbers"),
        (document(cameras=CAMERA.replace(">1 0 0", ">-1 0 0")), "not a rotation with a positive scale"),
        (document(cameras=CAMERA.replace(">1 0 0", ">1 0 0.2")), "not a rotation with a positive scale"),
        (document(rest="<transform><scale>-2</scale></transform>"), "not a rotation with a positive scale"),
        (document(rest="<transform><scale>0</scale></transform>"), "not a rotation with a positive scale"),
        (document(rest="<transform><rotation>1 2 3</rotation></transform>"), "rotation must hold 9 finite numbers"),
        (document().replace('<resolution width="200" height="100"/>', ""), "has no resolution"),
        (document().replace('width="200"', 'width="-5"'), "has no resolution"),
        (document().replace('<sensor id="4"', "<sensor"), "has a <sensor> without an id"),
    ],
)
def test_broken_and_hostile_files_are_refused(read, text, sentence):
    with pytest.raises(ValueError, match=sentence):
        read(text)


def test_deep_nesting_does_not_crash(read):
    deep = "<group>" * 50000 + CAMERA + "</group>" * 50000
    assert [camera.label for camera in read(document(cameras=deep))[0].cameras] == ["IMG_7"]


def test_the_numbers_of_the_real_export(real_data):
    (chunk,) = read_metashape_xml(real_data / "metashape" / "cameras.xml")
    assert len(chunk.sensors) == len(chunk.cameras) == 94
    np.testing.assert_array_equal(chunk.chunk_to_world, np.eye(4))
    intrinsics, lens = resolve_sensor(chunk.sensors["0"], "sensor 0")
    f, b1, b2 = 8397.0800252741, 0.256163863908223, -22.8315524998528
    np.testing.assert_allclose(intrinsics, [[f + b1, b2, 2592], [0, f, 1728], [0, 0, 1]], rtol=1e-14)
    expected = (-0.0603472625149708, 0.184858521842878, 0.00126022593561743, -0.00119014441157678, 0.0)
    assert lens == Distortion("opencv", expected)
    world_to_cam = world_to_cam_of(chunk.cameras[0], chunk)
    center = -world_to_cam[:3, :3].T @ world_to_cam[:3, 3]
    np.testing.assert_allclose(center, [-0.54581061, 0.73856182, 0.28002386], atol=1e-8)
