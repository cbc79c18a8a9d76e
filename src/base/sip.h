/* The round of SipHash (Aumasson, Bernstein), which bytes.c and log/key_map.c make their hashes of. */
#ifndef BASE_SIP_H
#define BASE_SIP_H

#include <stdint.h>

static inline uint64_t sip_rotate(uint64_t v, int bits)
{
    return v << bits | v >> (64 - bits);
}

static inline void sip_round(uint64_t v[4])
{
    v[0] += v[1];
    v[1] = sip_rotate(v[1], 13) ^ v[0];
    v[0] = sip_rotate(v[0], 32);
    v[2] += v[3];
    v[3] = sip_rotate(v[3], 16) ^ v[2];
    v[0] += v[3];
    v[3] = sip_rotate(v[3], 21) ^ v[0];
    v[2] += v[1];
    v[1] = sip_rotate(v[1], 17) ^ v[2];
    v[2] = sip_rotate(v[2], 32);
}

#endif
