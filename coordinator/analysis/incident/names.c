#include "coordinator/analysis/incident/names.h"

enum { STEM_BYTES_MIN = 3, SUFFIX_BYTES_MIN = 5 };

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

/* Bytes above ASCII are letters of some script. */
static bool is_word(char c)
{
    return is_digit(c) || (lower(c) >= 'a' && lower(c) <= 'z') || (unsigned char)c >= 0x80;
}

ops_slice ops_name_stem(ops_slice component)
{
    size_t i = 0, stem = component.n;
    for (bool first = true; i < component.n; first = false) {
        size_t from = i;
        bool digit = false;
        for (; i < component.n && is_word(component.p[i]); i++)
            digit = digit || is_digit(component.p[i]);
        if (!first && digit && i - from >= SUFFIX_BYTES_MIN && from > 0) {
            stem = from - 1;
            break;
        }
        i += i < component.n;
    }
    return ops_slice_sub(component, 0, stem);
}

static bool is_capital(char c)
{
    return c >= 'A' && c <= 'Z';
}

/* A word begins and ends at what is no letter or digit, and where a capital follows a small letter: RedisError. */
static bool breaks(ops_slice text, size_t i)
{
    return i == 0 || i == text.n || !is_word(text.p[i - 1]) || !is_word(text.p[i]) ||
           (is_capital(text.p[i]) && !is_capital(text.p[i - 1]));
}

static bool stands_in(ops_slice text, ops_slice word)
{
    for (size_t i = 0; word.n <= text.n && i <= text.n - word.n; i++) {
        size_t k = 0;
        while (k < word.n && lower(text.p[i + k]) == lower(word.p[k]))
            k++;
        if (k == word.n && breaks(text, i) && breaks(text, i + k))
            return true;
    }
    return false;
}

bool ops_name_in(ops_slice text, ops_slice component)
{
    ops_slice stem = ops_name_stem(component);
    return stem.n >= STEM_BYTES_MIN && stands_in(text, stem);
}

uint32_t ops_name_find(const ops_bundle *b, ops_slice text, uint32_t but)
{
    uint32_t best = OPS_NAMED_NONE;
    size_t bytes = STEM_BYTES_MIN - 1;
    for (size_t i = 0; i < b->components.list.n; i++) {
        ops_slice stem = ops_name_stem(ops_bundle_component(b, (uint32_t)i));
        if (i != but && stem.n > bytes && stands_in(text, stem)) {
            best = (uint32_t)i;
            bytes = stem.n;
        }
    }
    return best;
}
