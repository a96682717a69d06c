"""Doors: any PyTorch module, torchvision, timm and saved folders, behind the same contract.

    wrapping       `wrap`: any module; its `first_run` shows its `stages` and `maps` (`wrapped`)
    torchvision    its classifiers, with its weights
    timm           its models, where it is installed
    libraries      either of them by name
    saved          either of them again, from a folder
    settings       the config.json in a folder or on the hub
    given          what a person says of photos and classes
"""
