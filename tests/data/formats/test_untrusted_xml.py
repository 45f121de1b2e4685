import gzip

import pytest

from keypoints.data.formats.untrusted_xml import xml_root
from keypoints.errors import DataError


def test_the_root_of_a_plain_or_packed_file_is_read(tmp_path):
    for contents in (b"<a><b/></a>", gzip.compress(b"<a><b/></a>")):
        (tmp_path / "list.xml").write_bytes(contents)
        assert xml_root(tmp_path / "list.xml", "dlib's").tag == "a"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("<!DOCTYPE a><a/>", "declares a document type or entities, which no list of CVAT's does"),
        ("<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>", "declares a document type"),
        ("<a><b></a>", "is no XML, damaged or cut off"),
        ("", "is no XML, damaged or cut off"),
    ],
)
def test_entities_and_damaged_files_are_refused(tmp_path, text, says):
    (tmp_path / "list.xml").write_text(text)
    with pytest.raises(DataError, match=rf"list\.xml: {says}"):
        xml_root(tmp_path / "list.xml", "CVAT's")
