VERSIONS = ("torch", "torchvision", "keras", "tensorflow-cpu", "tf2onnx", "onnx", "onnxruntime", "openvino")


def write_table(rows, output): ...
