"""What runs a colorizer's network: TensorFlow, onnxruntime or LiteRT."""
