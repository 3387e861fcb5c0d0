#include "worker/serve/writer.h"

void ops_writer_free(ops_writer *w)
{
    if (w != NULL)
        w->ops->free(w);
}
