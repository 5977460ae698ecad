/* unmask: XOR with a repeated key of four bytes (RFC 6455, 5.3), as fast as memory allows. */
#include "ws/ws.h"

#include <string.h>

/* One copy for each width of vectors, chosen by the loader. The choice runs before a sanitizer is
 * ready for it; clang 14 does not know the attribute in C. */
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && \
    !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define VECTOR_CLONES __attribute__((target_clones("avx2", "default")))
#else
#define VECTOR_CLONES
#endif

/* 32 bytes are the widest vector that both compilers turn into good code for every target. Wider
 * ones gain nothing here: this already outruns the caches that feed it. */
typedef uint64_t vector __attribute__((vector_size(32)));

enum { WORD_BYTES = sizeof(uint64_t), BLOCK_BYTES = 4 * sizeof(vector) };

static void xor_blocks(uint8_t *to, const uint8_t *at, size_t blocks, uint64_t key);

/* The key as a word in memory order, its first byte the one that belongs to the first data byte. */
static inline uint64_t key_word(const uint8_t mask[static 4], unsigned phase)
{
    uint32_t key;
    unsigned shift = (phase & 3) * 8;

    memcpy(&key, mask, sizeof key);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    key = key >> shift | key << (-shift & 31);
#else
    key = key << shift | key >> (-shift & 31);
#endif
    return (uint64_t)key << 32 | key;
}

void ws_unmask(uint8_t *at, size_t len, const uint8_t mask[static 4], unsigned phase)
{
    ws_unmask_to(at, at, len, mask, phase);
}

/* Goes forward and loads before it stores, which is all that an overlap with to ≤ at needs. */
void ws_unmask_to(uint8_t *to, const uint8_t *at, size_t len, const uint8_t mask[static 4],
                  unsigned phase)
{
    uint64_t key = key_word(mask, phase), word;
    size_t blocks = len / BLOCK_BYTES, done = blocks * BLOCK_BYTES;
    uint8_t tail[WORD_BYTES];

    if (blocks)
        xor_blocks(to, at, blocks, key);
    for (; len - done >= WORD_BYTES; done += WORD_BYTES) {
        memcpy(&word, at + done, WORD_BYTES);
        word ^= key;
        memcpy(to + done, &word, WORD_BYTES);
    }
    memcpy(tail, &key, WORD_BYTES);
    for (size_t i = 0; done < len; i++, done++)
        to[done] = at[done] ^ tail[i];
}

VECTOR_CLONES
static void xor_blocks(uint8_t *to, const uint8_t *at, size_t blocks, uint64_t key)
{
    const vector keys = {key, key, key, key};

    for (; blocks; blocks--, at += BLOCK_BYTES, to += BLOCK_BYTES) {
        for (size_t i = 0; i < BLOCK_BYTES; i += sizeof(vector)) {
            vector piece;

            memcpy(&piece, at + i, sizeof piece);
            piece ^= keys;
            memcpy(to + i, &piece, sizeof piece);
        }
    }
}
