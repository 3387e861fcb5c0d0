#include "coordinator/analysis/incident/sign.h"

#include <math.h>

#include "coordinator/analysis/incident/names.h"

/* A span's name is short; what is longer is a sentence. */
enum { CALL_BYTES_MAX = 64 };

double ops_sign_bits(const ops_sign *s)
{
    static const double worth[OPS_LEVEL_COUNT] = {
        [OPS_LEVEL_INFO] = 0.5, [OPS_LEVEL_WARNING] = 2, [OPS_LEVEL_ERROR] = 3, [OPS_LEVEL_CRITICAL] = 4};
    double least = s->level > 0 && s->level < OPS_LEVEL_COUNT ? worth[s->level] : 0;
    double unusual = s->score > 0 && isfinite(s->score) ? log2(1 + s->score) : 0;
    return fmax(least, unusual);
}

bool ops_sign_calls(const ops_sign *s, ops_slice component)
{
    ops_slice rest = s->text, piece;
    while (ops_slice_split(&rest, '|', &piece)) {
        piece = ops_slice_trim(piece);
        const ptrdiff_t at = ops_slice_find(piece, OPS_SLICE(" failed"));
        if (at > 0 && at <= CALL_BYTES_MAX && ops_name_in(ops_slice_sub(piece, 0, (size_t)at), component))
            return true;
    }
    return false;
}

const ops_lesson *ops_lesson_of_noise(const ops_lesson *lessons, size_t count, const ops_sign *s)
{
    if (s->service_count == 0)
        return NULL;
    for (size_t i = count; i-- > 0;)
        if (lessons[i].kind == OPS_LESSON_NOISE && lessons[i].sign_kind == s->kind &&
            s->level <= lessons[i].level && ops_slice_eq(lessons[i].first, s->services[0]))
            return &lessons[i];
    return NULL;
}
