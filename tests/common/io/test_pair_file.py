import pytest

from common.io.pair_file import read_pair_file, write_pair_file


def read(tmp_path, text):
    path = tmp_path / "pair.txt"
    path.write_bytes(text.encode())
    return read_pair_file(path)


def test_sources_belong_to_the_stated_reference_wherever_it_stands(tmp_path):
    pairs = read(tmp_path, "3\n5\n2 7 2.5 0 1e-3 \n0\n1 5 2 \n7\n0\n")
    assert pairs == {5: ((7, 2.5), (0, 1e-3)), 0: ((5, 2.0),), 7: ()}


@pytest.mark.parametrize("text", ["1\r\n0\r\n1 1 0.5 \r\n", "1 \n\n0\n1  1  0.5", "1\n0\n1\n1 0.5\n"])
def test_line_ends_and_blanks_do_not_matter(tmp_path, text):
    assert read(tmp_path, text) == {0: ((1, 0.5),)}


def test_a_view_among_its_own_sources_is_dropped(tmp_path):
    assert read(tmp_path, "2\n0\n2 1 9 0 0\n1\n1 0 9\n") == {0: ((1, 9.0),), 1: ((0, 9.0),)}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("0\n2 1 0.5 2 0.4\n1\n2 0 0.5 2 0.4\n", r":1 should hold the number of reference views"),
        ("1043\n2 7 0.5 9 0.4\n1044\n1 0 0.5\n", r":1 should hold the number of reference views"),
        ("2\n0\n2 1 0.5 2\n1\n1 0 0.5\n", r"should hold|goes on|ends in the middle"),
        ("2\n0\n1 1 0.5\n", r":3 ends in the middle of a block"),
        ("1\n0\n1 1 0.5\n1\n1 0 0.5\n", r":4 goes on after the 1 references"),
        ("2\n0\n1 1 0.5\n0\n1 1 0.5\n", r":4 lists reference view 0 a second time"),
        ("1\n0\n1 -1 0.5\n", r":3 should hold a view index or a count here, got '-1'"),
        ("1\n0\n1 1.5 0.5\n", r":3 should hold a view index"),
        ("1\n0\n1 1 good\n", r":3 should hold a score here, got 'good'"),
        ("99999999999999999999\n", r":1 should hold a view index or a count"),
        ("999999999\n0\n1 1 1\n", r"ends in the middle"),
        ("1\n0\n999999999 1 1\n", r"ends in the middle"),
    ],
)
def test_what_breaks_the_grammar_is_refused_with_its_line(tmp_path, text, complaint):
    with pytest.raises(ValueError, match=f"pair.txt.*(?:{complaint})"):
        read(tmp_path, text)


def test_a_round_trip_keeps_order_and_scores(tmp_path):
    pairs = {4: ((2, 10.5), (0, 0.25)), 0: (), 2: ((4, 3.0),)}
    write_pair_file(tmp_path / "pair.txt", pairs)
    again = read_pair_file(tmp_path / "pair.txt")
    assert again == pairs and list(again) == [4, 0, 2]


def test_a_view_is_never_written_as_its_own_source(tmp_path):
    with pytest.raises(ValueError, match="view 1 cannot be a source of itself"):
        write_pair_file(tmp_path / "pair.txt", {1: ((0, 1.0), (1, 0.0))})


def test_dtu_lists_the_known_sources(real_data):
    pairs = read_pair_file(real_data / "dtu" / "Cameras" / "pair.txt")
    assert sorted(pairs) == list(range(49))
    assert [source for source, _ in pairs[23]][:6] == [24, 33, 22, 15, 34, 14]
    assert [source for source, _ in pairs[43]][:6] == [33, 44, 42, 34, 32, 45]
    assert pairs[0][0] == (10, 2346.41)
