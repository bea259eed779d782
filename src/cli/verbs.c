/* Every verb of the command, in the order in which a user meets them. */
#include "cli/cli.h"

const cli_verb cli_verbs[] = {
    {"import", "turn images, lists and arrays into shards", cli_import},
    {"inspect", "show what a file holds", cli_inspect},
    {"lr-find", "find a learning rate for a job", cli_lr_find},
    {"train", "train new layers on a frozen network", cli_train},
    {"watch", "look at a run from outside: progress, curves, checkpoints", cli_watch},
    {"sweep", "train a job many times with other heads and hyperparameters", cli_sweep},
    {"evaluate", "loss, metrics, ROC, calibration, subgroups of a run, with intervals", cli_evaluate},
    {"compare", "two evaluated runs: is the difference more than chance?", cli_compare},
    {"predict", "outputs and classes for shards or images", cli_predict},
    {"embed", "embeddings of shards or images, to compare faces and the like", cli_embed},
    {"match", "who is who: verification and identification by embeddings", cli_match_verb},
    {"explain", "where the network looks, and which training images are alike", cli_explain},
    {"anomaly", "learn what is normal, find what is not", cli_anomaly},
    {"style", "paint pictures in the style of another", cli_style},
    {"report", "plots and a page about a run", cli_report},
    {"export", "write a trained run as a Keras model", cli_export},
    {"bench", "measure networks and heads on this machine", cli_bench},
    {NULL, NULL, NULL},
};
