// Publish one message, then receive and acknowledge it, with Tidemark's own client.
// Run: npm run build && node examples/tidemark-client/main.mjs [host:port]
import { connect } from "tidemark";

const client = connect(process.argv[2] ?? process.env.TIDEMARK_ADDRESS ?? "127.0.0.1:50051");

const { offset } = await client.publish("orders", { event: "order.created", payload: JSON.stringify({ id: 42 }) });
console.log(`published at offset ${offset}`);

for await (const delivery of client.subscribe("orders", { subscriber: "tidemark-client", events: ["order.*"] })) {
  console.log(`received #${delivery.offset} ${delivery.event} ${delivery.text}`);
  delivery.ack(); // or retry(delayMs), reject(reason), release()
  if (delivery.offset >= offset) break; // without this line the loop waits for more messages
}
await client.close();
