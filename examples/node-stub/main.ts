// Publish one message, then receive and acknowledge it, with the typed stubs that ts-proto generates from the .proto files.
// Run: npx tsx examples/node-stub/main.ts [host:port]
import { credentials } from "@grpc/grpc-js";
import { BrokerServiceClient } from "../../generated/tidemark/v1/broker_service.js";
import { NewMessage } from "../../generated/tidemark/v1/message.js";
import { PublishRequest } from "../../generated/tidemark/v1/publish.js";
import { OpenSession, Settlement, type SubscribeRequest, type SubscribeResponse } from "../../generated/tidemark/v1/subscribe.js";

const address = process.argv[2] ?? process.env.TIDEMARK_ADDRESS ?? "127.0.0.1:50051";
const broker = new BrokerServiceClient(address, credentials.createInsecure());

const message = NewMessage.fromPartial({ event: "order.created", body: { $case: "text", value: '{"id":42}' } });
broker.publish(PublishRequest.fromPartial({ queue: "orders", message }), (error, published) => {
  if (error) throw error;
  console.log(`published at offset ${published.offset}`);
});

const stream = broker.subscribe();
const send = (frame: SubscribeRequest["frame"]): boolean => stream.write({ requestId: 1n, frame });
send({ $case: "open", value: OpenSession.fromPartial({ queue: "orders", subscriber: "node-stub" }) });
stream.on("data", ({ frame }: SubscribeResponse) => {
  if (frame?.$case === "deliveries") {
    for (const { offset, event, payload } of frame.value.messages) console.log(`received #${offset} ${event} ${payload.toString()}`);
    send({ $case: "settle", value: Settlement.fromPartial({ ackThroughBatchId: frame.value.batchId }) }); // done with all of this batch
  }
  if (frame?.$case === "result") stream.end(); // the ack is on disk; without this line the program waits for more messages
});
