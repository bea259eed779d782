/* Exact sums of doubles in three limbs of 36 bits: order and ranks cannot matter, because integers are added. */
#include "comm/comm_private.h"
#include "thaw/memory.h"

#include <math.h>
#include <string.h>

enum { LIMB_BITS = 36 };
static const int64_t limb_mask = (INT64_C(1) << LIMB_BITS) - 1;

/* Brings the lower limbs to 0 .. 2^36-1, so that 2^27 of them can be added before one could overflow; the top limb then
 * holds value / 2^12 and overflows only above 2^75. */
static void carry(thaw_wide *sum) {
  for (int i = 0; i < 2; i++) {
    sum->limb[i + 1] += sum->limb[i] >> LIMB_BITS; /* arithmetic: rounds towards minus infinity */
    sum->limb[i] &= limb_mask;
  }
}

bool thaw_wide_add(thaw_wide *sum, double term) {
  if (!(fabs(term) < 0x1p50)) return false;
  __int128 fixed = (__int128)rint(term * 0x1p60); /* both exact: a power of two, then an integer below 2^110 */
  sum->limb[0] += (int64_t)fixed & limb_mask;
  sum->limb[1] += (int64_t)(fixed >> LIMB_BITS) & limb_mask;
  sum->limb[2] += (int64_t)(fixed >> 2 * LIMB_BITS);
  carry(sum);
  return true;
}

double thaw_wide_value(const thaw_wide *sum) {
  thaw_wide s = *sum;
  carry(&s);
  const __int128 limb = (__int128)1 << LIMB_BITS, room = (__int128)1 << 90;
  __int128 upper = s.limb[2] * limb + s.limb[1];
  /* Conversion of __int128 to double rounds to nearest even, scaling by a power of two is exact. Above 2^90 the lowest
   * limb can only break a tie: one sticky bit stands for it. */
  if (upper < room && upper > -room) return (double)(upper * limb + s.limb[0]) * 0x1p-60;
  return (double)(upper * 2 | (s.limb[0] != 0)) * 0x1p-25;
}

thaw_status thaw_wide_reduce(thaw_comm *comm, thaw_wide *sums, size_t count, int64_t *failed) {
  int64_t few[3 * 16 + 1], *message = few;
  size_t limbs = 3 * count;
  if (count > 16) {
    message = thaw_new(limbs + 1, sizeof *message);
    THAW_TRY(thaw_agree(comm, message ? THAW_OK : THAW_ERR_MEMORY));
  }
  for (size_t i = 0; i < count; i++) carry(&sums[i]);
  memcpy(message, sums, limbs * sizeof *message);
  message[limbs] = *failed;
  thaw_status status = thaw_comm_sum_int(comm, message, limbs + 1);
  memcpy(sums, message, limbs * sizeof *message);
  for (size_t i = 0; i < count; i++) carry(&sums[i]);
  *failed = message[limbs];
  if (message != few) thaw_free(message);
  return status;
}
