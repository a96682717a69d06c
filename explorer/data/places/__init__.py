"""Photos with boxes or masks: COCO, YOLO, Pascal VOC, folders of masks, and data sets of (photo, target)."""
