# Publish one message, then receive and acknowledge it.
#   pip install grpcio-tools
#   mkdir -p stubs && python -m grpc_tools.protoc -I proto --python_out=stubs --grpc_python_out=stubs proto/tidemark/v1/*.proto
#   PYTHONPATH=stubs python examples/python/main.py [host:port]
import os, queue, sys

import grpc
from tidemark.v1.broker_service_pb2_grpc import BrokerServiceStub
from tidemark.v1.message_pb2 import NewMessage
from tidemark.v1.publish_pb2 import PublishRequest
from tidemark.v1.subscribe_pb2 import OpenSession, Settlement, SubscribeRequest

address = sys.argv[1] if len(sys.argv) > 1 else os.environ.get("TIDEMARK_ADDRESS", "127.0.0.1:50051")
broker = BrokerServiceStub(grpc.insecure_channel(address))

message = NewMessage(event="order.created", payload=b'{"id":42}')
print("published at offset", broker.Publish(PublishRequest(queue="orders", message=message)).offset)

frames = queue.SimpleQueue()  # what goes in here is sent; None ends our half of the stream
frames.put(SubscribeRequest(open=OpenSession(queue="orders", subscriber="python")))
for response in broker.Subscribe(iter(frames.get, None)):
    for message in response.deliveries.messages:
        print(f"received #{message.offset} {message.event} {message.payload.decode()}")
    if response.HasField("deliveries"):  # done with all of this batch
        frames.put(SubscribeRequest(request_id=1, settle=Settlement(ack_through_batch_id=response.deliveries.batch_id)))
    if response.HasField("result"):  # the ack is on disk
        frames.put(None)  # without this line the program waits for more messages
