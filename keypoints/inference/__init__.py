"""Models at work: photos in, predicted faces out; and models as ONNX files."""
