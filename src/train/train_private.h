/* train_private.h: what the files of src/train share. */
#ifndef TRAIN_PRIVATE_H
#define TRAIN_PRIVATE_H

#include "thaw/train.h"

/* [collective] Drops what thaw_session_phase made; harmless when there is nothing. */
void thaw_session_leave_phase(thaw_session *session);

#endif
