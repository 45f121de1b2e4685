"""Parsing of XML lists, which are untrusted input: entities could expand to more than the memory."""

from pathlib import Path
from xml.etree.ElementTree import Element, ParseError

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import fromstring

from keypoints.errors import DataError, one_line
from keypoints.input_files import MOST_LIST, read_unpacked


def xml_root(path: Path, owner: str) -> Element:
    """Return the root element of a file.

    Args:
        path: the file, which may be packed by gzip.
        owner: whose format it is, such as ``"dlib's"``, for messages.

    Raises:
        DataError: if the file cannot be read, is truncated, is no XML, or declares a document type, which
            could define entities.
    """
    try:
        root = fromstring(read_unpacked(path, MOST_LIST), forbid_dtd=True)
    except DefusedXmlException as error:
        raise DataError(
            f"{path}: declares a document type or entities, which no list of {owner} does"
        ) from error
    except (ParseError, ValueError, LookupError) as error:
        raise DataError(f"{path}: is no XML, damaged or cut off ({one_line(error)})") from error
    if root is None:
        raise DataError(f"{path}: is no XML: it has no element")
    return root
