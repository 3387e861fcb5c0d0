/* Signs of trouble as the live analysis sees them, one a finding, and what people taught. Everything is borrowed.
 *
 * Offline, `incidents` and `rank` judge the raw rows of a bundle. Live, the detectors have judged those rows already: what is left
 * to decide is which signs belong together (`relate`) and which component is the likeliest cause of them (`culprit`). */
#ifndef OPS_INCIDENT_SIGN_H
#define OPS_INCIDENT_SIGN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/text/slice.h"
#include "coordinator/analysis/detect/candidate.h"

typedef struct ops_sign {
    ops_slice id;
    int kind;                  /* ops_candidate_kind, or 8: an alert of another system */
    int level;                 /* ops_level */
    const ops_slice *services; /* the first one first */
    size_t service_count;
    const ops_slice *templates; /* ids */
    size_t template_count;
    int64_t start_ns, last_ns; /* event time */
    double score;              /* -log10(p) of its statistic; 0: it has none */
    ops_slice summary;
    ops_slice text; /* what its evidence says */
} ops_sign;

typedef enum ops_lesson_kind {
    OPS_LESSON_RIGHT_CAUSE = 1, /* `first` was the cause of an incident that concerned `second` */
    OPS_LESSON_WRONG_CAUSE,     /* it was not */
    OPS_LESSON_NOISE,           /* signs of a kind of service `first`, up to a level, are nothing */
    OPS_LESSON_TOGETHER,        /* somebody merged incidents of services `first` and `second` */
    OPS_LESSON_APART            /* somebody split them */
} ops_lesson_kind;

typedef struct ops_lesson {
    ops_lesson_kind kind;
    ops_slice first, second;
    int sign_kind, level; /* of noise */
    ops_slice who, incident_id;
} ops_lesson;

/* How much a sign says by itself, in bits: by how unusual it is, at least what its level is worth. */
double ops_sign_bits(const ops_sign *s);
/* Does one of its failed calls name the component? A failed span is read as "NAME failed ..." (coordinator/ingest/otlp_spans.h), and a
 * span is of the caller: unlike other words this says who called whom. Pieces of evidence are parted by '|'. */
bool ops_sign_calls(const ops_sign *s, ops_slice component);
/* Somebody said that the like of it is noise, and it is no graver than that was; NULL: nobody did. */
const ops_lesson *ops_lesson_of_noise(const ops_lesson *lessons, size_t count, const ops_sign *s);

#endif
