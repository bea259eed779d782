/* Every verb of the command, in the order in which a user meets them. */
#include "cli/cli.h"

const cli_verb cli_verbs[] = {
    {"import", "turn images, lists and arrays into shards", cli_import},
    {"inspect", "show what a file holds", cli_inspect},
    {"report", "plots and a page about a run", cli_report},
    {NULL, NULL, NULL},
};
