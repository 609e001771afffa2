import { expect } from "chai";
import { BrokerError } from "../../../src/core/errors.js";
import { Bench } from "./broker-harness.js";

describe("disconnecting a client", () => {
  it("ends its stream, answers what it was, and counts what it held as handed out without a verdict", async () => {
    const bench = await Bench.start();
    await bench.publishMany(1);
    const a = await bench.subscribe({ clientId: "a" });
    await a.received(1);
    const b = await bench.subscribe({ clientId: "b" });
    const last = bench.broker.disconnectClient(a.session.id, "make room");
    expect(last).to.include({ clientId: "a", inFlightCount: 1 });
    const error = await a.ended();
    expect(error).to.include({ reason: "DISCONNECTED", status: "ABORTED" });
    expect(error?.message).to.contain("make room");
    await b.received(1);
    expect(b.heard.batches[0]?.facts).to.include({ deliveryCount: 2, cause: "DISCONNECT" });
    expect(bench.broker.listClients(undefined, undefined, 10).map(({ clientId }) => clientId)).to.deep.equal(["b"]);
  });

  it("is refused for a session that is not open", async () => {
    const bench = await Bench.start();
    expect(() => bench.broker.disconnectClient("nobody", "")).to.throw(BrokerError).with.property("reason", "SESSION_NOT_FOUND");
  });
});
