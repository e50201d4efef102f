/* What an operator sees of a runtime: the parts of a sample, for telemetry and for "stats" of ftl_runtime_control. Any thread. */
#ifndef FTLI_ACTORS_PORT_OPERATOR_H
#define FTLI_ACTORS_PORT_OPERATOR_H

#include "actors/port/runtime.h"

void ftli_operator_read_supervision(struct ftl_runtime *, struct ftli_sample_supervision *out);
void ftli_operator_read_tracking(struct ftl_runtime *, struct ftli_sample_tracking *out);
void ftli_operator_read_lane(struct ftl_runtime *, unsigned lane, struct ftli_sample_lane *out);
void ftli_operator_read_actor(struct ftl_runtime *, unsigned index, struct ftli_sample_actor *out);
/* All of it; user is the runtime. At most `most` actors. */
void ftli_operator_read_sample(void *user, struct ftli_sample *out, struct ftli_sample_actor *actors, uint32_t most);

#endif
