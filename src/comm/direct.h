/* direct.h: sums on one node without a copy: the message itself lies in memory that the node's ranks share. Private to
 * src/comm. */
#ifndef COMM_DIRECT_H
#define COMM_DIRECT_H

#include "comm/pipeline.h"

/* [collective] Room in shared memory for a message of `words`, of which the last `integers` stay integers, the same for
 * all ranks; *message_out is NULL where there is none: several nodes, no space, or another tenant. The room is the
 * tenant's until it is released. */
thaw_status comm_direct_connect(thaw_comm *comm, const void *tenant, size_t words, size_t integers,
                                int64_t **message_out);
void comm_direct_release(thaw_comm *comm, const void *tenant); /* [local] harmless when it has none */
/* [collective] As a pipeline's sum, but the floats are in *values_out, to be read until the next sum. */
thaw_status comm_direct_sum(thaw_comm *comm, const comm_sum *sum, const float **values_out);
void comm_direct_destroy(thaw_comm *comm); /* [collective] */

#endif
