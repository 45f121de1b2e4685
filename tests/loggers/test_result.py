from keypoints.loggers.result import preformatted


def test_text_is_shown_verbatim_as_an_indented_block():
    assert preformatted("a\n  b") == "    a\n      b"
