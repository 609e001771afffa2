"""One gRPC call on the generated stubs: JSON requests come in on stdin, one a line, JSON responses go out on stdout.

Usage: json_client.py STUBS_DIRECTORY ADDRESS SERVICE RPC
"""

import importlib
import sys

stubs, address, service, rpc = sys.argv[1:]
sys.path.insert(0, stubs)

import grpc  # noqa: E402
from google.protobuf import json_format, message_factory  # noqa: E402

module = {"BrokerService": "broker_service", "AdminService": "admin_service"}[service]
services = importlib.import_module(f"tidemark.v1.{module}_pb2")
services_grpc = importlib.import_module(f"tidemark.v1.{module}_pb2_grpc")

method = services.DESCRIPTOR.services_by_name[service].methods_by_name[rpc]


def requests():
    for line in sys.stdin:
        yield json_format.Parse(line, message_factory.GetMessageClass(method.input_type)())


def show(response):
    print(json_format.MessageToJson(response, indent=None), flush=True)


with grpc.insecure_channel(address) as channel:
    call = getattr(getattr(services_grpc, service + "Stub")(channel), rpc)
    try:
        if method.client_streaming:
            for response in call(requests()):
                show(response)
        else:
            show(call(next(requests())))
    except grpc.RpcError as error:
        sys.exit(f"{error.code().name}: {error.details()}")
