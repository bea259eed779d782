/* rows.h: one instance of the microkernel for each number of rows. */
#ifndef THAW_KERNEL_ROWS_H
#define THAW_KERNEL_ROWS_H

/* CALL(r) with r a constant equal to `rows`: 1 .. ROWS. A macro, since a function cannot turn a value into a constant.
 */
#ifdef __AVX512F__
#define THAW_ROWS_WIDE(CALL)                                                                                           \
  case 7:                                                                                                              \
    CALL(7);                                                                                                           \
    break;                                                                                                             \
  case 8:                                                                                                              \
    CALL(8);                                                                                                           \
    break;                                                                                                             \
  case 9:                                                                                                              \
    CALL(9);                                                                                                           \
    break;                                                                                                             \
  case 10:                                                                                                             \
    CALL(10);                                                                                                          \
    break;                                                                                                             \
  case 11:                                                                                                             \
    CALL(11);                                                                                                          \
    break;                                                                                                             \
  case 12:                                                                                                             \
    CALL(12);                                                                                                          \
    break;
#else
#define THAW_ROWS_WIDE(CALL)
#endif
/* The same for at most four rows. */
#define THAW_FOR_FEW_ROWS(rows, CALL)                                                                                  \
  switch (rows) {                                                                                                      \
  case 1:                                                                                                              \
    CALL(1);                                                                                                           \
    break;                                                                                                             \
  case 2:                                                                                                              \
    CALL(2);                                                                                                           \
    break;                                                                                                             \
  case 3:                                                                                                              \
    CALL(3);                                                                                                           \
    break;                                                                                                             \
  case 4:                                                                                                              \
    CALL(4);                                                                                                           \
    break;                                                                                                             \
  default:                                                                                                             \
    break;                                                                                                             \
  }
#define THAW_FOR_ROWS(rows, CALL)                                                                                      \
  switch (rows) {                                                                                                      \
  case 1:                                                                                                              \
    CALL(1);                                                                                                           \
    break;                                                                                                             \
  case 2:                                                                                                              \
    CALL(2);                                                                                                           \
    break;                                                                                                             \
  case 3:                                                                                                              \
    CALL(3);                                                                                                           \
    break;                                                                                                             \
  case 4:                                                                                                              \
    CALL(4);                                                                                                           \
    break;                                                                                                             \
  case 5:                                                                                                              \
    CALL(5);                                                                                                           \
    break;                                                                                                             \
  case 6:                                                                                                              \
    CALL(6);                                                                                                           \
    break;                                                                                                             \
    THAW_ROWS_WIDE(CALL)                                                                                               \
  default:                                                                                                             \
    break;                                                                                                             \
  }

#endif
