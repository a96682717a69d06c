"""Models from elsewhere behind the same contract: any nn.Module, torchvision's, timm's, saved folders."""
