/* The FileDescriptorSet of ops.v1, as protoc wrote it: what gRPC server reflection serves. */
#ifndef OPS_PROTO_V1_PROTOSET_H
#define OPS_PROTO_V1_PROTOSET_H

#include "base/text/slice.h"

ops_slice ops_v1_protoset(void); /* static bytes */

#endif
