#include "feature/feature_private.h"

#include <string.h>

static const uint64_t prime_1 = 0x9E3779B185EBCA87u, prime_2 = 0xC2B2AE3D27D4EB4Fu, prime_3 = 0x165667B19E3779F9u,
                      prime_4 = 0x85EBCA77C2B2AE63u, prime_5 = 0x27D4EB2F165667C5u;

static uint64_t rotate(uint64_t value, int bits) {
  return value << bits | value >> (64 - bits);
}

/* Little-endian machines only, as all of thaw. */
static uint64_t read64(const unsigned char *at) {
  uint64_t value;
  memcpy(&value, at, sizeof value);
  return value;
}

static uint32_t read32(const unsigned char *at) {
  uint32_t value;
  memcpy(&value, at, sizeof value);
  return value;
}

static uint64_t mix(uint64_t lane, uint64_t input) {
  return rotate(lane + input * prime_2, 31) * prime_1;
}

static uint64_t merge(uint64_t hash, uint64_t lane) {
  return (hash ^ mix(0, lane)) * prime_1 + prime_4;
}

static uint64_t finish(uint64_t hash, const unsigned char *at, size_t left) {
  for (; left >= 8; at += 8, left -= 8) hash = rotate(hash ^ mix(0, read64(at)), 27) * prime_1 + prime_4;
  if (left >= 4) {
    hash = rotate(hash ^ read32(at) * prime_1, 23) * prime_2 + prime_3;
    at += 4, left -= 4;
  }
  for (; left; at++, left--) hash = rotate(hash ^ *at * prime_5, 11) * prime_1;
  hash = (hash ^ hash >> 33) * prime_2;
  hash = (hash ^ hash >> 29) * prime_3;
  return hash ^ hash >> 32;
}

uint64_t thaw_checksum(const void *data, size_t size, uint64_t seed) {
  const unsigned char *at = data, *end = at + size;
  uint64_t hash = seed + prime_5;
  if (size >= 32) {
    uint64_t lane[4] = {seed + prime_1 + prime_2, seed + prime_2, seed, seed - prime_1};
    for (; end - at >= 32; at += 32)
      for (int i = 0; i < 4; i++) lane[i] = mix(lane[i], read64(at + 8 * i));
    hash = rotate(lane[0], 1) + rotate(lane[1], 7) + rotate(lane[2], 12) + rotate(lane[3], 18);
    for (int i = 0; i < 4; i++) hash = merge(hash, lane[i]);
  }
  return finish(hash + size, at, (size_t)(end - at));
}
