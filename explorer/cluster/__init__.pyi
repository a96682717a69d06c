# Written by: python -m tests.style
from explorer.cluster.learning import finetune as finetune
from explorer.cluster.predicting import Predicted as Predicted
from explorer.cluster.predicting import predict as predict
from explorer.cluster.searching import search as search
