// Publish one message, then receive and acknowledge it, with the .proto files read at run time.
// Run: node examples/node-proto-loader/main.mjs [host:port]     (npm install @grpc/grpc-js @grpc/proto-loader)
import { credentials, loadPackageDefinition } from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";

const address = process.argv[2] ?? process.env.TIDEMARK_ADDRESS ?? "127.0.0.1:50051";
const proto = `${import.meta.dirname}/../../proto`;
const { tidemark } = loadPackageDefinition(loadSync("tidemark/v1/broker_service.proto", { includeDirs: [proto], longs: String }));
const broker = new tidemark.v1.BrokerService(address, credentials.createInsecure());

broker.publish({ queue: "orders", message: { event: "order.created", text: '{"id":42}' } }, (error, published) => {
  if (error) throw error;
  console.log(`published at offset ${published.offset}`);
});

const stream = broker.subscribe();
stream.write({ open: { queue: "orders", subscriber: "node-proto-loader" } });
stream.on("data", ({ deliveries, result }) => {
  if (deliveries) {
    for (const { offset, event, payload } of deliveries.messages) console.log(`received #${offset} ${event} ${payload}`);
    stream.write({ requestId: 1, settle: { ackThroughBatchId: deliveries.batchId } }); // done with all of this batch
  }
  if (result) stream.end(); // the ack is on disk; without this line the program waits for more messages
});
