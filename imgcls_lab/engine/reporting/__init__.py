"""What a run writes for people and programs: events, manifest, console log, TensorBoard, predictions."""
