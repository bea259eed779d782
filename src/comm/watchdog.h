/* watchdog.h: what the watchdog thread of a rank shares with comm.c. Private to src/comm. */
#ifndef COMM_WATCHDOG_H
#define COMM_WATCHDOG_H

#include "comm/comm_private.h"

/* [local] Ends and frees the thread; accepts NULL. To be called before MPI_Finalize. */
void comm_watchdog_stop(comm_watchdog *watchdog);

#endif
