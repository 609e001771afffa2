/**
 * A consumer that one message kills: ADDRESS QUEUE SUBSCRIBER HOLD. It starts working once it has HOLD messages in hand, acks
 * each as it is done with it, dies without a word at the payload "killer", and ends in order at SIGTERM.
 */
import { connect } from "../../dist/src/client/index.js";

const [address, queue, subscriber, hold] = process.argv.slice(2);
const client = connect(address);
const subscription = client.subscribe(queue, { subscriber, maxInFlightMessages: 10_000 });
process.once("SIGTERM", () => subscription.drain());
const inHand = [];
for await (const delivery of subscription) {
  inHand.push(delivery);
  if (inHand.length < Number(hold)) continue;
  for (const held of inHand.splice(0)) {
    if (held.text === "killer") process.kill(process.pid, "SIGKILL");
    held.ack();
  }
}
await client.close();
