"""What runs a colorizer's network: TensorFlow or onnxruntime."""
