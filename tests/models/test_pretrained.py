from keypoints.models.pretrained import blank, is_blank


def test_networks_are_blank_only_inside_the_block():
    assert not is_blank()
    with blank():
        assert is_blank()
        with blank():
            pass
        assert is_blank()
    assert not is_blank()
