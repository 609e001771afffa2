/**
 * The yardstick: the same unary call with the same messages, on the same gRPC library, with nothing behind it. Prints the
 * port that it listens on, and serves until it is killed.
 */
import { Server, ServerCredentials } from "@grpc/grpc-js";
import type { sendUnaryData, ServerUnaryCall } from "@grpc/grpc-js";
import { BrokerServiceService } from "../generated/tidemark/v1/broker_service.js";
import { PublishResponse } from "../generated/tidemark/v1/publish.js";
import type { PublishRequest } from "../generated/tidemark/v1/publish.js";

const server = new Server();
const publish = BrokerServiceService.publish;
let offset = 0n;
server.addService(
  { publish },
  {
    publish(_call: ServerUnaryCall<PublishRequest, PublishResponse>, callback: sendUnaryData<PublishResponse>) {
      callback(null, PublishResponse.create({ offset: ++offset }));
    },
  },
);
server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, port) => {
  if (error !== null) throw error;
  console.log(`listening on 127.0.0.1:${port}`);
});
