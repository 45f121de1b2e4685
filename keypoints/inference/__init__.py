"""Prediction with checkpoints and ONNX files, face detection, export to ONNX, and submissions."""
