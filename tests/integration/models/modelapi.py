"""ModelService as a client sees it: messages and methods from the server's own reflection."""
import grpc
from google.protobuf import descriptor_pool, message_factory
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase


class Models:
    def __init__(self, address, token=None):
        self.channel = grpc.insecure_channel(address)
        self.pool = descriptor_pool.DescriptorPool(ProtoReflectionDescriptorDatabase(self.channel))
        self.service = self.pool.FindServiceByName("ops.v1.ModelService")
        self.metadata = [("authorization", "Bearer " + token)] if token else []

    def close(self):
        self.channel.close()

    def message(self, kind, **fields):
        return message_factory.GetMessageClass(self.pool.FindMessageTypeByName("ops.v1." + kind))(**fields)

    def call(self, rpc, timeout=60, **fields):
        method = self.service.methods_by_name[rpc]
        request = message_factory.GetMessageClass(method.input_type)(**fields)
        answer = message_factory.GetMessageClass(method.output_type)
        make = self.channel.unary_stream if rpc == "Generate" else self.channel.unary_unary
        return make(f"/ops.v1.ModelService/{rpc}", request_serializer=type(request).SerializeToString,
                    response_deserializer=answer.FromString)(request, timeout=timeout, metadata=self.metadata)

    def generate(self, timeout=60, work_class=0, **task):
        return self.call("Generate", timeout, task=self.message("GenerateTask", **task), work_class=work_class)

    def answer(self, **task):
        """The whole text and the end."""
        text, end = "", None
        for part in self.generate(**task):
            assert end is None
            if part.WhichOneof("kind") == "end":
                end = part
            else:
                text += part.delta.text
        return text, end
