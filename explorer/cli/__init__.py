"""The command `vision-explorer`, which is `python -m explorer` too.

    vision-explorer tour                                    # copy the notebooks here and open the tour
    vision-explorer list '*resne*t*' --pretrained           # model names
    vision-explorer show resnet50                           # the card of one model
    vision-explorer predict cat.jpg --model resnet50        # what is on the photo
    vision-explorer compare cat.jpg --models resnet50 convnext_tiny --speed     # models side by side
    vision-explorer finetune resnet50 photos/ --save mine   # teach it your classes: a folder of photos each
    vision-explorer evaluate mine photos/                   # how good it is, and where it errs
    vision-explorer live mine page.html                     # take it home: a page that runs in any browser
    vision-explorer app --photos photos/                    # the dashboard in a browser, for a class

Whatever goes wrong is one sentence on standard error and exit code 2 (of finetune and evaluate 1, where the
words were right); `--debug` shows the traceback too.
Nothing here imports torch before a photo is to be predicted.
"""

from explorer._lazy import lazy_names

__getattr__, __dir__, __all__ = lazy_names(__name__, {"running": ("main",)})
