/* unmask: XOR with a repeated key of four bytes (RFC 6455, 5.3), as fast as memory allows. */
#include "ws/ws.h"

#include <string.h>

/* One copy for each width of vectors, chosen by the loader. The choice runs before a sanitizer is
 * ready for it; clang 14 does not know the attribute in C. */
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && \
    !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define VECTOR_CLONES __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define VECTOR_CLONES
#endif

enum { BLOCK_BYTES = 256, WORD_BYTES = sizeof(uint64_t) };

static void xor_blocks(uint8_t *at, size_t blocks, uint64_t key);

/* The key as a word in memory order, its first byte the one that belongs to the first byte of data.
 */
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
    uint64_t key = key_word(mask, phase), word;
    size_t blocks = len / BLOCK_BYTES;
    uint8_t tail[WORD_BYTES];

    if (blocks) {
        xor_blocks(at, blocks, key);
        at += blocks * BLOCK_BYTES;
        len -= blocks * BLOCK_BYTES;
    }
    for (; len >= WORD_BYTES; at += WORD_BYTES, len -= WORD_BYTES) {
        memcpy(&word, at, WORD_BYTES);
        word ^= key;
        memcpy(at, &word, WORD_BYTES);
    }
    memcpy(tail, &key, WORD_BYTES);
    for (size_t i = 0; i < len; i++)
        at[i] ^= tail[i];
}

/* The inner loop has a constant count, so that -O2 makes vectors of it too. */
VECTOR_CLONES
static void xor_blocks(uint8_t *at, size_t blocks, uint64_t key)
{
    for (; blocks; blocks--, at += BLOCK_BYTES) {
        for (size_t i = 0; i < BLOCK_BYTES; i += WORD_BYTES) {
            uint64_t word;

            memcpy(&word, at + i, WORD_BYTES);
            word ^= key;
            memcpy(at + i, &word, WORD_BYTES);
        }
    }
}
