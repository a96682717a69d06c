"""The same verbs on a Ray cluster: `pip install 'vision-explorer[cluster]'`.

    from explorer import cluster

    # a Run, as everywhere
    run = cluster.finetune("resnet50", "photos/", workers=8, train="all", run_dir="shared/run1")
    # to Parquet, a part at a time
    found = cluster.predict("resnet50", "s3://bucket/photos", output="s3://bucket/found")

    # the trials of a search, several at a time
    best = cluster.search({"lr": (1e-4, 1e-1)}, "photos/", workers=8, storage="search.db").best_settings

All take the cluster that this process is connected to (`ray.init("ray://...")`), or the one in RAY_ADDRESS,
or one that runs on this computer, and else start one here. Nothing else in explorer needs Ray.
"""

from explorer._lazy import lazy_names

__getattr__, __dir__, __all__ = lazy_names(__name__, {
    "learning": ("finetune",),
    "predicting": ("Predicted", "predict"),
    "searching": ("search",),
})
